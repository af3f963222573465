import { applyDecorators, type StreamableFile, type Type } from '@nestjs/common';
import { ApiExtraModels, ApiOkResponse, getSchemaPath } from '@nestjs/swagger';
import type { Request } from 'express';
import { type CsvTable, csvFile } from './csv.js';
import type { Page, PageDto, PageQuery } from './page.dto.js';

/** Rows that are read at a time for a list without pages. */
const CHUNK = 1_000;

const DESCRIPTION =
  'A page. As `text/csv`, the whole list from `cursor` on unless `limit` is given; with `limit`, a page whose header ' +
  '`Link` has the address of the next one';

/** Documents what `answerList` answers. */
export const ListResponse = (page: Type<PageDto>) =>
  applyDecorators(
    ApiExtraModels(page),
    ApiOkResponse({
      description: DESCRIPTION,
      content: {
        'application/json': { schema: { $ref: getSchemaPath(page) } },
        'text/csv': { schema: { type: 'string' } },
      },
    }),
  );

/** The first is the default. Express takes a type with parameters for another one. */
const ACCEPTABLE = [
  'application/json',
  'text/csv',
  'application/json; charset=utf-8',
  'text/csv; charset=utf-8',
  'text/csv; header=present',
];

/**
 * A page of a list, or its CSV if the request prefers that.
 *
 * @param list reads a page; what it throws for the first one is answered as a problem.
 */
export async function answerList<Query extends PageQuery, Item extends object>(
  request: Request,
  query: Query,
  table: CsvTable,
  list: (query: Query) => Promise<Page<Item>>,
): Promise<Page<Item> | StreamableFile> {
  request.res?.vary('Accept');
  if (!String(request.accepts(ACCEPTABLE)).startsWith('text/csv')) {
    return list(query);
  }
  const isWhole = query.limit === undefined;
  const first = await list(isWhole ? { ...query, limit: CHUNK } : query);
  if (!isWhole && first.nextCursor !== null) {
    request.res?.links({ next: withCursor(request.originalUrl, first.nextCursor) });
  }
  const chunks = async function* () {
    let page = first;
    yield page.items;
    while (isWhole && page.nextCursor !== null) {
      page = await list({ ...query, limit: CHUNK, cursor: page.nextCursor });
      yield page.items;
    }
  };
  return csvFile(table, chunks());
}

function withCursor(url: string, cursor: string): string {
  const [path, query] = url.split('?');
  const parameters = new URLSearchParams(query);
  parameters.set('cursor', cursor);
  return `${path}?${parameters}`;
}
