import type { DataSource } from 'typeorm';
import { queryOnce } from './short-transaction.js';
import type { SqlParameters } from './sql-parameters.js';

/** The order of a list, which is that of an index, so that nothing is sorted: its columns with their types. */
export type SortKey = readonly (readonly [column: string, type: string])[];

/** A page of a list, all in SQL. The table's alias is `e`. */
export interface BoundedPage {
  table: string;
  columns: string;
  /** What the index that gives the order serves too, or leaves few of. */
  served: string[];
  /** What is looked for among those, a row at a time. */
  unserved: string[];
  key: SortKey;
  /** A column of the index before the key that is NULL in each row: the order names it, so that the index is found. */
  nullBeforeKey?: string | undefined;
  direction: 'ASC' | 'DESC';
  /** Whether `served` leaves so few rows, by another index, that they are sorted rather than read in the key's order. */
  sorted?: boolean;
  /** The sort key of the last row of the page before, as the database wrote it. */
  after: readonly string[] | undefined;
  limit: number;
  /** How many rows the page looks at if `unserved` reads what is costly, such as large metadata; else 20,000. */
  maxRows?: number;
}

/** Rows of a page; `goesOnAfter` leads on where they don't fill it and the list isn't at its end. */
export interface BoundedRows<Row> {
  rows: Row[];
  goesOnAfter: readonly string[] | undefined;
}

/** How many rows a page looks at where few match: a filter that no index serves must not read a whole table. */
const LOOKED_AT = 20_000;

/** How many characters a list shows of a text that may be of any length, so that its pages are bounded in bytes as well. */
const SHOWN_CHARACTERS = 1_000;

const LIMITS = { statementTimeout: 10_000, lockTimeout: 1_000 };

/** Reads one page of a list of Lapse's own records, whose rows each come with their `position`. */
export async function boundedPage<Row extends { position: readonly string[] }>(
  dataSource: DataSource,
  page: BoundedPage,
  parameters: SqlParameters,
): Promise<BoundedRows<Row>> {
  const sql = boundedPageSql(page, parameters);
  return boundedRows(await queryOnce(dataSource, LIMITS, sql, parameters.values));
}

/** SQL: one page, to run in a short transaction, which keeps the planner to the index; its answer is for `boundedRows`. */
export function boundedPageSql(page: BoundedPage, parameters: SqlParameters): string {
  const { key, nullBeforeKey, direction, sorted, after, table, limit, columns, served, unserved } = page;
  const { maxRows = LOOKED_AT } = page;
  const names = key.map(([column]) => `e.${column}`).join(', ');
  const position = `json_build_array(${key.map(([column]) => `e.${column}::text`).join(', ')})`;
  const ordered = [...(nullBeforeKey === undefined ? [] : [nullBeforeKey]), ...key.map(([column]) => column)];
  const order = `ORDER BY ${ordered.map((column) => `e.${column} ${direction}`).join(', ')}`;
  const comes = direction === 'ASC' ? '>' : '<';
  const next =
    after && `(${names}) ${comes} (${key.map(([, type], at) => `${parameters.add(after[at])}::${type}`).join(', ')})`;
  const where = [
    ...served,
    ...(nullBeforeKey === undefined ? [] : [`e.${nullBeforeKey} IS NULL`]),
    next ?? 'true',
  ].join(' AND ');
  // OFFSET 0 keeps the order outside: the planner would take an index for it even where that one reads far more rows.
  const from = sorted
    ? `FROM (SELECT e.* FROM ${table} e WHERE ${where} OFFSET 0) e`
    : `FROM ${table} e WHERE ${where}`;

  if (unserved.length === 0) {
    return `SELECT ${columns}, ${position} AS position ${from} ${order} LIMIT ${limit}`;
  }
  // Where the rows that were looked at don't fill the page, the last of them is read in the same statement, so that no
  // change in between can move it.
  return `
    WITH page AS MATERIALIZED (
      SELECT e.*, ${position} AS position
        FROM (SELECT e.* ${from} ${order} LIMIT ${maxRows}) e
       WHERE ${unserved.join(' AND ')} ${order} LIMIT ${limit}),
    last AS (
      SELECT ${position} AS position ${from} AND (SELECT count(*) FROM page) < ${limit}
       ${order} LIMIT 1 OFFSET ${maxRows - 1})
    SELECT ${columns}, e.position, last.position AS "goesOnAfter"
      FROM (SELECT (SELECT position FROM last) AS position) last LEFT JOIN page e ON true ${order}`;
}

/** SQL: text of any length as a list shows it. */
export function shortened(text: string): string {
  return `left(${text}, ${SHOWN_CHARACTERS})`;
}

/** What the answer to `boundedPageSql` says. */
export function boundedRows<Row extends { position: readonly string[] }>(
  answer: readonly (Row & { goesOnAfter?: readonly string[] | null })[],
): BoundedRows<Row> {
  const rows = answer.filter((row) => row.position !== null).map(({ goesOnAfter: _goesOnAfter, ...row }) => row);
  // What is left without `goesOnAfter` is a Row, which the compiler can't tell of a type parameter.
  return { rows: rows as unknown as Row[], goesOnAfter: answer[0]?.goesOnAfter ?? undefined };
}
