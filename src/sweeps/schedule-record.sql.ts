import type { DataSource } from 'typeorm';
import { schemaOf } from '../database/schema-of.js';
import { queryRow, type TransactionLimits } from '../database/short-transaction.js';

/** What `lapse.sweeps` records of the schedule, by the database's clock. */
export interface ScheduleRecord {
  /** Where it is recorded: the table's name with its schema. */
  table: string;
  now: Date;
  /** When the last scheduled sweep ended that succeeded, entirely or in part; null if none is on record. */
  lastGood: Date | null;
  /** How the last scheduled sweep ended; null if none is on record. */
  last: { status: string; finishedAt: Date; error: string | null } | null;
  /** Since when the sweep that is on record as running under the schedule's lock has made no progress; null if none runs. */
  lastProgress: Date | null;
}

const LIMITS: TransactionLimits = { statementTimeout: 5_000, lockTimeout: 1_000, capacity: 'health' };

/** Empty scheduled sweeps are deleted after this long, so that nothing can be said about the time before. */
export const RECORD_KEPT_MS = 24 * 3_600_000;

/** A few entries from the end of each index. A requested sweep of the platform keeps the schedule's lock just as well. */
function recordSql(schema: string): string {
  return `
    SELECT clock_timestamp() AS now, good.finished_at AS "lastGood",
           last.status, last.finished_at AS "finishedAt", last.error, running.progress AS "lastProgress"
      FROM (SELECT) one
      LEFT JOIN LATERAL (
        SELECT finished_at FROM ${schema}.sweeps
         WHERE tenant_id IS NULL AND trigger = 'schedule' AND status IN ('succeeded', 'partial')
         ORDER BY id DESC LIMIT 1) good ON true
      LEFT JOIN LATERAL (
        SELECT status, finished_at, error FROM ${schema}.sweeps
         WHERE tenant_id IS NULL AND trigger = 'schedule' AND status <> 'running'
         ORDER BY id DESC LIMIT 1) last ON true
      LEFT JOIN LATERAL (
        SELECT max(greatest(s.started_at, latest.timed_out_at)) AS progress
          FROM ${schema}.sweeps s
          LEFT JOIN LATERAL (
            SELECT t.timed_out_at FROM ${schema}.timeouts t WHERE t.sweep_id = s.id ORDER BY t.id DESC LIMIT 1) latest ON true
         WHERE s.status = 'running' AND s.lock_name = $1) running ON true`;
}

type ScheduleRow = Omit<ScheduleRecord, 'last' | 'table'> & {
  /** Null if no scheduled sweep that ended is on record; then the two others mean nothing. */
  status: string | null;
  finishedAt: Date;
  error: string | null;
};

/** @throws whatever the database answers; SQLSTATE 42P01 if Lapse's tables don't exist yet. */
export async function readScheduleRecord(dataSource: DataSource, lockName: string): Promise<ScheduleRecord> {
  const schema = schemaOf(dataSource);
  const row = await queryRow<ScheduleRow>(dataSource, LIMITS, recordSql(schema), [lockName]);
  const { now, lastGood, status, finishedAt, error, lastProgress } = row;
  const last = status === null ? null : { status, finishedAt, error };
  return { table: `${schema}.sweeps`, now, lastGood, last, lastProgress };
}
