import type { SqlParameters } from '../database/sql-parameters.js';
import type { BatchMark } from './batch-job.js';

/** What is counted, for a sweep and for an undo; columns of `sweeps` and of `sweep_counts` alike. */
export const COUNTS = [
  'timed_out',
  'skipped',
  'failed',
  'reopened',
  'changed_since',
  'gone',
  'already_reopened',
] as const;

/**
 * SQL, for a CTE of the statement that does what is counted: adds to the counts of a partition. Returns no row if a batch
 * with this mark has been committed before: then the statement must not be committed.
 *
 * @param counts an SQL expression for each count, which may refer to `from`; `done` is what counts towards a limit.
 */
export function countBatchSql(
  schema: string,
  of: { sweepId: string; mark: BatchMark },
  counts: { done: string } & Partial<Record<(typeof COUNTS)[number], string>>,
  from: string,
  parameters: SqlParameters,
): string {
  const columns = Object.keys(counts).filter((column) => column !== 'done');
  return `
    INSERT INTO ${schema}.sweep_counts AS c (sweep_id, partition, batch, ${Object.keys(counts).join(', ')})
    SELECT ${of.sweepId}, ${parameters.add(of.mark.partition)}::int, ${parameters.add(of.mark.batch)}::int,
           ${Object.values(counts).join(', ')}
      FROM ${from}
    ON CONFLICT (sweep_id, partition) DO UPDATE
      SET batch = excluded.batch, done = excluded.done,
          ${columns.map((column) => `${column} = c.${column} + excluded.${column}`).join(', ')}
      WHERE c.batch < excluded.batch
    RETURNING 1`;
}

/** SQL: sweeps with what their partitions have counted until now. @param sweeps which sweeps: a table, or a subquery. */
export function sweepsWithCounts(schema: string, columns: readonly string[], sweeps = `${schema}.sweeps`): string {
  const isCount = (column: string) => (COUNTS as readonly string[]).includes(column);
  const selected = columns.map((column) =>
    isCount(column) ? `s.${column} + coalesce(c.${column}, 0) AS ${column}` : `s.${column}`,
  );
  return `(SELECT ${selected.join(', ')} FROM ${sweeps} s
            LEFT JOIN LATERAL (SELECT ${COUNTS.map((column) => `sum(${column})::int AS ${column}`).join(', ')}
                                 FROM ${schema}.sweep_counts WHERE sweep_id = s.id) c ON true)`;
}

/**
 * SQL: ends running sweeps, and adds what their partitions counted to their records, in one statement.
 *
 * @param which a condition on the sweep `s`. @param changes what is set besides the counts.
 */
export function endSweepsSql(schema: string, which: string, changes: string): string {
  return `
    WITH ended AS MATERIALIZED (
      SELECT s.id FROM ${schema}.sweeps s WHERE s.status = 'running' AND ${which} FOR NO KEY UPDATE
    ),
    counted AS (
      DELETE FROM ${schema}.sweep_counts c USING ended WHERE c.sweep_id = ended.id RETURNING c.*
    ),
    sums AS (
      SELECT sweep_id, ${COUNTS.map((column) => `sum(${column})::int AS ${column}`).join(', ')} FROM counted GROUP BY sweep_id
    )
    UPDATE ${schema}.sweeps s
       SET ${COUNTS.map((column) => `${column} = s.${column} + coalesce(sums.${column}, 0)`).join(', ')}, ${changes}
      FROM ended LEFT JOIN sums ON sums.sweep_id = ended.id
     WHERE s.id = ended.id`;
}
