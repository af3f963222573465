import pg from 'pg';
import type { Caller } from '../src/access/principal.js';
import { TenantScope } from '../src/access/tenant-scope.js';
import { SweepsService } from '../src/sweeps/sweeps.service.js';
import { TIMEOUT_SECONDS, withClient } from './fixture.js';
import { startLapse } from './lapse.js';

/** A way to time out everything that is overdue. */
export interface Contender {
  name: string;
  /** Whether it leaves a ledger row for each execution. */
  keepsLedger: boolean;
  /** @returns milliseconds, without connecting and without starting a service. */
  drain(databaseUrl: string): Promise<number>;
}

const IS_OVERDUE = `status = 'suspended' AND updated_at <= now() - interval '${TIMEOUT_SECONDS} seconds'`;
const MERGED = `metadata || jsonb_build_object('failureReason', 'approval_timeout', 'sweepId', gen_random_uuid(),
  'timedOutAt', to_char(now(), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))`;
const TIME_OUT = `UPDATE workflow_executions SET status = 'failed', updated_at = now(), metadata = ${MERGED}`;

/** What no way through this table can beat: one statement, one commit, no record of what it did. */
export const bareUpdate: Contender = {
  name: 'one bare UPDATE',
  keepsLedger: false,
  drain: (url) => runOne(url, `${TIME_OUT} WHERE ${IS_OVERDUE}`),
};

/** The same with the ledger. "Suspended since" is made up, since before PostgreSQL 18 an UPDATE can't return it. */
export const updateWithLedger: Contender = {
  name: 'one UPDATE with ledger',
  keepsLedger: true,
  drain: (url) =>
    runOne(
      url,
      `WITH timed_out AS (${TIME_OUT} WHERE ${IS_OVERDUE} RETURNING *)
       INSERT INTO lapse.timeouts (sweep_id, tenant_id, project_id, execution_id, agent_id, conversation_id,
                                   tool_call_id, tool_name, suspended_since, deadline, timed_out_at)
       SELECT gen_random_uuid(), tenant_id, project_id, id, agent_id, conversation_id,
              metadata #>> '{pendingToolApproval,toolCallId}', metadata #>> '{pendingToolApproval,toolName}',
              created_at, created_at, now()
         FROM timed_out`,
    ),
};

/** Who requests the sweep; it is put on the audit log like any other. */
export const OPERATOR: Caller = {
  principal: { kind: 'admin-key', id: 'bench', role: 'operator', scope: TenantScope.platform() },
  scope: TenantScope.platform(),
  address: '127.0.0.1',
  requestId: 'bench',
  action: 'sweep.request',
};

/** A requested sweep of the whole platform, from the lock to the finished record. */
export const lapse: Contender = {
  name: 'Lapse',
  keepsLedger: true,
  async drain(url) {
    const app = await startLapse(url);
    try {
      const sweeps = app.get(SweepsService);
      return await timed(() => sweeps.run('api', OPERATOR, { timeoutSeconds: TIMEOUT_SECONDS, reason: 'benchmark' }));
    } finally {
      await app.close();
    }
  },
};

/**
 * What a service does that reads rows, changes them and saves them: selects 100, oldest first, merges the metadata of
 * each in the application, and saves ten at a time by their keys, over ten connections, until nothing is left. The
 * reference host waits 50 ms between the tens; here nobody waits.
 */
export const knownWay: Contender = {
  name: 'the known way',
  keepsLedger: false,
  async drain(url) {
    const pool = new pg.Pool({ connectionString: url, max: 10, options: '-c timezone=UTC' });
    try {
      await Promise.all(Array.from({ length: 10 }, () => pool.query('SELECT')));
      return await timed(async () => {
        while (await timeOutNextHundred(pool)) {}
      });
    } finally {
      await pool.end();
    }
  },
};

async function timeOutNextHundred(pool: pg.Pool): Promise<boolean> {
  const { rows } = await pool.query(
    `SELECT * FROM workflow_executions WHERE ${IS_OVERDUE} ORDER BY updated_at LIMIT 100`,
  );
  for (let first = 0; first < rows.length; first += 10) {
    await Promise.all(rows.slice(first, first + 10).map((row) => saveTimedOut(pool, row)));
  }
  return rows.length > 0;
}

async function saveTimedOut(pool: pg.Pool, row: Record<string, unknown>): Promise<void> {
  const { tenant_id, project_id, id, metadata } = row;
  const merged = { ...(metadata as object), failureReason: 'approval_timeout', timedOutAt: new Date().toISOString() };
  await pool.query(
    `UPDATE workflow_executions SET status = 'failed', updated_at = $4, metadata = $5
      WHERE tenant_id = $1 AND project_id = $2 AND id = $3 RETURNING *`,
    [tenant_id, project_id, id, new Date().toISOString(), merged],
  );
}

function runOne(url: string, statement: string): Promise<number> {
  return withClient(url, (client) => timed(() => client.query(statement)));
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
