import type { WatchedTable } from '../executions/watched-table.js';
import { rowUpdatedAt } from '../sweeps/host-triggers.sql.js';
import { isTimedOut } from '../sweeps/timeout-markers.js';

/**
 * SQL: whether the execution `e` is still as the timeout `alias` left it: failed, with the marker of its sweep, and
 * unchanged to the microsecond. Older ledger rows have what the row's `updated_at` said in `timed_out_at`.
 */
export function isAsLeft(watched: WatchedTable, alias: string): string {
  return `e.status = 'failed' AND ${isTimedOut('e.metadata')}
          AND e.metadata ->> 'sweepId' = ${alias}.sweep_id::text
          AND ${rowUpdatedAt(watched)} = coalesce(${alias}.row_updated_at, ${alias}.timed_out_at)`;
}
