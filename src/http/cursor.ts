import type { Page } from './page.dto.js';
import { InvalidInputError } from './problem.error.js';

/** A keyset position: the sort key of the last item of a page, as the database wrote it. */
export type Position = readonly string[];

/** A UUID as PostgreSQL writes it: a cursor part of the lists that are ordered by id. */
export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Opaque to callers, and only good for a list with the same number of key parts. */
export function encodeCursor(position: Position): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

/** @throws InvalidInputError where `cursor` is not one of ours, or a part doesn't match its pattern. */
export function decodeCursor(cursor: string, patterns: readonly RegExp[]): Position {
  const parts = parse(cursor);
  const good = parts.length === patterns.length && patterns.every((pattern, at) => pattern.test(parts[at] ?? ''));
  if (!good) {
    throw new InvalidInputError([
      { path: 'query.cursor', message: 'is not a cursor of this list; leave it out to begin with the first page' },
    ]);
  }
  return parts;
}

function parse(cursor: string): string[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    return Array.isArray(parts) && parts.every((part) => typeof part === 'string') ? parts : [];
  } catch {
    return [];
  }
}

/** Cuts one page of `limit` items from rows that were asked for with one more, which tells whether a page follows. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  toItem: (row: Row) => Item,
  positionOf: (row: Row) => Position,
): Page<Item> {
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return {
    items: rows.slice(0, limit).map(toItem),
    nextCursor: last === undefined ? null : encodeCursor(positionOf(last)),
  };
}
