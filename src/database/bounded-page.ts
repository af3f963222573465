import type { DataSource } from 'typeorm';
import { inShortTransaction } from './short-transaction.js';
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
  direction: 'ASC' | 'DESC';
  /** The sort key of the last row of the page before, as the database wrote it. */
  after: readonly string[] | undefined;
  limit: number;
}

/** Rows of a page; `goesOnAfter` leads on where they don't fill it and the list isn't at its end. */
export interface BoundedRows<Row> {
  rows: Row[];
  goesOnAfter: readonly string[] | undefined;
}

/** How many rows a page looks at where few match: a filter that no index serves must not read a whole table. */
const LOOKED_AT = 20_000;

const LIMITS = { statementTimeout: 10_000, lockTimeout: 1_000 };

/** Reads one page of a list whose rows each come with their `position`. */
export async function boundedPage<Row extends { position: readonly string[] }>(
  dataSource: DataSource,
  page: BoundedPage,
  parameters: SqlParameters,
): Promise<BoundedRows<Row>> {
  const { key, direction, after, table, limit, columns, served, unserved } = page;
  const names = key.map(([column]) => `e.${column}`).join(', ');
  const position = `json_build_array(${key.map(([column]) => `e.${column}::text`).join(', ')})`;
  const order = `ORDER BY ${key.map(([column]) => `e.${column} ${direction}`).join(', ')}`;
  const comes = direction === 'ASC' ? '>' : '<';
  const next =
    after && `(${names}) ${comes} (${key.map(([, type], at) => `${parameters.add(after[at])}::${type}`).join(', ')})`;
  const from = `FROM ${table} e WHERE ${[...served, next ?? 'true'].join(' AND ')}`;

  if (unserved.length === 0) {
    const sql = `SELECT ${columns}, ${position} AS position ${from} ${order} LIMIT ${limit}`;
    return { rows: await dataSource.query(sql, parameters.values), goesOnAfter: undefined };
  }
  // Where the rows that were looked at don't fill the page, the last of them is read in the same statement, so that no
  // change in between can move it. The transaction keeps the planner to the index.
  const sql = `
    WITH page AS MATERIALIZED (
      SELECT e.*, ${position} AS position
        FROM (SELECT e.* ${from} ${order} LIMIT ${LOOKED_AT}) e
       WHERE ${unserved.join(' AND ')} ${order} LIMIT ${limit}),
    last AS (
      SELECT ${position} AS position ${from} AND (SELECT count(*) FROM page) < ${limit}
       ${order} LIMIT 1 OFFSET ${LOOKED_AT - 1})
    SELECT ${columns}, e.position, last.position AS "goesOnAfter"
      FROM (SELECT (SELECT position FROM last) AS position) last LEFT JOIN page e ON true ${order}`;
  const answer: (Row & { goesOnAfter: readonly string[] | null })[] = await inShortTransaction(
    dataSource,
    LIMITS,
    (transaction) => transaction.query(sql, parameters.values),
  );
  const rows = answer.filter((row) => row.position !== null).map(({ goesOnAfter: _goesOnAfter, ...row }) => row);
  // What is left without `goesOnAfter` is a Row, which the compiler can't tell of a type parameter.
  return { rows: rows as unknown as Row[], goesOnAfter: answer[0]?.goesOnAfter ?? undefined };
}
