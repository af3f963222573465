import { Injectable } from '@nestjs/common';
import type { BoundedRows } from '../database/bounded-page.js';
import { Cursors, type Position } from './cursors.service.js';
import { DEFAULT_LIMIT, type Page, type PageQuery } from './page.dto.js';

/** What a list is: how to get its rows after a position, and what its items look like. */
export interface List<Row, Item> {
  /** Names it among the others. */
  name: string;
  /** Rows after the position, at most `limit`; from the beginning where it is undefined. */
  rows: (limit: number, after: Position | undefined) => Promise<readonly Row[] | BoundedRows<Row>>;
  positionOf: (row: Row) => Position;
  toItem: (row: Row) => Item;
}

/** Cuts lists into pages. */
@Injectable()
export class Pages {
  constructor(private readonly cursors: Cursors) {}

  /** @throws InvalidInputError where the query's cursor belongs to another list, filter, scope or principal. */
  async page<Row, Item>(
    caller: { principal: { id: string; scope: { tenantId: string | null } }; scope: { tenantId: string | null } },
    query: PageQuery,
    list: List<Row, Item>,
  ): Promise<Page<Item>> {
    const { limit = DEFAULT_LIMIT, cursor, ...filters } = query;
    const { principal, scope } = caller;
    const sorted = Object.entries(filters).sort(([a], [b]) => (a < b ? -1 : 1));
    const sealedFor = JSON.stringify([list.name, principal.scope.tenantId, principal.id, scope.tenantId, sorted]);
    const after = cursor === undefined ? undefined : this.cursors.open(cursor, sealedFor);
    // One more than is shown tells whether a page follows.
    const found = await list.rows(limit + 1, after);
    const { rows, goesOnAfter } = 'rows' in found ? found : { rows: found, goesOnAfter: undefined };
    const last = rows.length > limit ? rows[limit - 1] : undefined;
    const next = last === undefined ? goesOnAfter : list.positionOf(last);
    return {
      items: rows.slice(0, limit).map(list.toItem),
      nextCursor: next === undefined ? null : this.cursors.seal(next, sealedFor),
    };
  }
}
