import type { Host } from './host.js';

/** A period that is over, in which `sweepANight` times executions out. */
export const NIGHT = { from: '2026-11-24T22:00:00.000Z', to: '2026-11-25T06:00:00.000Z' };

/**
 * What a night of mistaken sweeps leaves behind: one sweep of the whole platform a minute, from the beginning of
 * the night on, each of which has timed out so many executions of acme and of globex. An execution is called
 * `acme-<sweep>-<number>`, counted from 1.
 *
 * @returns the ids of the sweeps, in their order.
 */
export async function sweepANight(
  { pool }: Host,
  { sweeps, perTenant, timeoutSeconds = 180 }: { sweeps: number; perTenant: number; timeoutSeconds?: number },
): Promise<string[]> {
  const id = (moment: string, unique: string) =>
    `(lpad(to_hex((extract(epoch FROM ${moment}) * 1000)::bigint), 12, '0') || '7' || substr(md5(${unique}), 1, 3)
      || '8' || substr(md5(${unique}), 4, 15))::uuid`;
  const { rows } = await pool.query(
    `WITH nights AS (
       SELECT n, moment, ${id('moment', `'sweep ' || n`)} AS id
         FROM generate_series(1, $2::int) n, LATERAL (SELECT $1::timestamptz + (n - 1) * interval '1 minute') AS at (moment)),
     swept AS (
       INSERT INTO lapse.sweeps (id, trigger, status, dry_run, timeout_seconds, requested_by, lock_name, timed_out,
                                 skipped, reason, cutoff, started_at, finished_at)
       SELECT id, 'schedule', 'succeeded', false, $4::int, 'schedule', 'sweep', 2 * $3::int, 7, 'of the platform',
              moment, moment, moment + interval '5 seconds' FROM nights),
     executions AS (
       SELECT nights.n, nights.id AS sweep_id, moment + interval '1 second' AS at, tenant, tenant || '-' || n || '-' || m AS id
         FROM nights, unnest(ARRAY['acme', 'globex']) tenant, generate_series(1, $3::int) m),
     recorded AS (
       INSERT INTO lapse.timeouts (id, sweep_id, tenant_id, project_id, execution_id, agent_id, suspended_since, deadline,
                                   timed_out_at, row_updated_at, trigger)
       SELECT ${id('at', 'id')}, sweep_id, tenant, 'support', id, 'refund-agent', at - $4::int * interval '1 second',
              at, at, at, 'schedule' FROM executions),
     failed AS (
       INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, metadata, created_at, updated_at)
       SELECT tenant, 'support', id, 'refund-agent', 'conversation-' || id, 'failed',
              jsonb_build_object('failureReason', 'approval_timeout', 'timedOutAt', at, 'sweepId', sweep_id),
              at AT TIME ZONE 'UTC' - interval '1 hour', at AT TIME ZONE 'UTC' FROM executions)
     SELECT id FROM nights ORDER BY n`,
    [NIGHT.from, sweeps, perTenant, timeoutSeconds],
  );
  return rows.map((row) => row.id);
}
