import { createExecutions, TIMEOUT_SECONDS, withClient } from './fixture.js';
import type { BenchServer } from './server.js';

/** A watched table with executions that were forgotten, and with younger ones that wait just now. */
export interface Backlog {
  rows: number;
  overdue: number;
  waiting: number;
  tenants: number;
  layout: Layout;
}

/**
 * How the overdue executions lie among the others, in the order in which all began. It decides how many pages the drain
 * of a given number changes, and so what any way of doing it costs. One in so many was forgotten:
 */
const FORGOTTEN_EVERY = {
  /** Nobody timed anything out for half a year: spread over everything, each on a page of its own where they are few. */
  'half a year': ({ rows, waiting, overdue }: Omit<Backlog, 'layout'>) => Math.floor((rows - waiting) / overdue),
  /** Nobody approved for one night: two of three of the last executions before the youngest. */
  'one night': () => 1.5,
} as const;

export type Layout = keyof typeof FORGOTTEN_EVERY;

/** @returns the name of a database to copy. */
export async function createBacklog(server: BenchServer, backlog: Backlog): Promise<string> {
  const name = `lapse_bench_backlog_${backlog.layout.replaceAll(' ', '_')}`;
  const { rows, overdue, waiting, tenants } = backlog;
  const every = FORGOTTEN_EVERY[backlog.layout](backlog);
  const firstForgotten = rows - waiting - Math.ceil(overdue * every);
  await createExecutions(server, name, {
    rows,
    tenants,
    status: `
      CASE WHEN n > ${rows - waiting} THEN 'suspended'
           WHEN n > ${firstForgotten} AND floor(n / ${every}) <> floor((n - 1) / ${every}) THEN 'suspended'
           WHEN n % 50 = 7 THEN 'failed'
           WHEN n % 500 = 11 THEN 'running'
           ELSE 'completed' END`,
    since: `
      CASE WHEN n > ${rows - waiting} THEN now() - (${rows} - n) * interval '10 minutes' / ${waiting}
           ELSE now() - interval '1 day' - (${rows} - n) * interval '180 days' / ${rows} END`,
  });
  return name;
}

/** What drained a backlog, and how much of it: a contender that did less than it says has no rate. */
export interface Drained {
  name: string;
  timedOut: number;
  /** Whether it left a ledger row for each execution. */
  keepsLedger: boolean;
}

export async function assertDrained(url: string, { overdue, waiting }: Backlog, by: Drained): Promise<void> {
  const { rows } = await withClient(url, (client) =>
    client.query(
      `SELECT count(*) FILTER (WHERE status = 'failed' AND metadata->>'failureReason' = 'approval_timeout'
                                 AND metadata ? 'pendingToolApproval')::int AS failed,
              count(*) FILTER (WHERE status = 'suspended')::int AS suspended,
              count(*) FILTER (WHERE status = 'suspended'
                                 AND updated_at <= now() - interval '${TIMEOUT_SECONDS} seconds')::int AS overdue,
              (SELECT count(DISTINCT execution_id)::int FROM lapse.timeouts) AS ledger
         FROM workflow_executions`,
    ),
  );
  const left = overdue - by.timedOut;
  const expected = {
    failed: by.timedOut,
    suspended: waiting + left,
    overdue: left,
    ledger: by.keepsLedger ? by.timedOut : 0,
  };
  if (JSON.stringify(rows[0]) !== JSON.stringify(expected)) {
    throw new Error(`${by.name} left ${JSON.stringify(rows[0])}; expected ${JSON.stringify(expected)}`);
  }
}
