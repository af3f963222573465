import { beforeAll, expect, test } from '@jest/globals';
import type pg from 'pg';
import { DataSource } from 'typeorm';
import { TenantScope } from '../src/access/tenant-scope.js';
import { AuditLogRepository } from '../src/audit/audit-log.repository.js';
import { ExecutionsRepository } from '../src/executions/executions.repository.js';
import { FailuresRepository } from '../src/sweeps/failures.repository.js';
import { SweepsRepository } from '../src/sweeps/sweeps.repository.js';
import { TimeoutsRepository } from '../src/timeouts/timeouts.repository.js';
import { UndoSelectionRepository } from '../src/timeouts/undo-selection.repository.js';
import { Lapse } from './support/lapse.js';
import { useDatabase } from './support/world.js';

// Not useWorld(), which empties its tables before each test.
const world = useDatabase();
let lapse: Lapse;

interface Node {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  Plans?: Node[];
}

/** 200,000 executions of 200 tenants, a tenth of them suspended, and as many ledger rows. */
beforeAll(async () => {
  lapse = await Lapse.start(world.databaseUrl);
  await world.host.pool.query(
    `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, metadata, created_at, updated_at)
     SELECT 'tenant-' || n % 200, 'project-' || n % 7, n::text, 'agent-' || n % 3, 'conversation-' || n,
            CASE WHEN n % 10 = 0 THEN 'suspended' WHEN n % 10 = 1 THEN 'failed' ELSE 'completed' END,
            '{}', now() - n * interval '1 second', now() - n * interval '1 second'
       FROM generate_series(1, 200000) n`,
  );
  await world.host.pool.query(
    `INSERT INTO lapse.timeouts (sweep_id, tenant_id, project_id, execution_id, suspended_since, deadline, timed_out_at)
     SELECT ('00000000-0000-7000-8000-' || lpad((n % 100)::text, 12, '0'))::uuid, 'tenant-' || n % 200, 'p', n::text, now(), now(), now()
       FROM generate_series(1, 200000) n`,
  );
  await world.host.pool.query(
    `INSERT INTO lapse.failures (tenant_id, project_id, execution_id, next_try_at, last_reason, last_sweep_id)
     SELECT 'tenant-' || n % 200, 'p', n::text, now() + n % 2 * interval '1 hour', 'frozen', ('00000000-0000-7000-8000-' || lpad((n % 100)::text, 12, '0'))::uuid
       FROM generate_series(1, 200000) n`,
  );
  await world.host.pool.query(
    `INSERT INTO lapse.sweeps (trigger, tenant_id, status, dry_run, timeout_seconds, requested_by, lock_name)
     SELECT 'api', 'tenant-' || n % 200, 'succeeded', false, 1800, 'ada', 'sweep' FROM generate_series(1, 200000) n`,
  );
  await world.host.pool.query(`UPDATE lapse.sweeps SET undo_from = now(), undo_to = now() WHERE id IN (
    SELECT id FROM lapse.sweeps WHERE tenant_id = 'tenant-20' LIMIT 3)`);
  // Of the platform, long ago: each has timed out somebody, and none the tenant that asks.
  await world.host.pool.query(
    `INSERT INTO lapse.sweeps (id, trigger, status, dry_run, timeout_seconds, requested_by, lock_name, timed_out, started_at, finished_at)
     SELECT ('01' || lpad(n::text, 10, '0') || '70008000000000000000')::uuid, 'schedule', 'succeeded', false, 1800, 'schedule', 'sweep', 1,
            moment, moment + interval '1 second'
       FROM generate_series(1, 30000) n, LATERAL (SELECT timestamptz '2020-01-01' + n * interval '1 minute') AS at (moment)`,
  );
  await world.host.pool.query(
    `INSERT INTO lapse.audit_log (tenant_id, principal_kind, address, action, outcome, request_id, details)
     SELECT 'tenant-' || n % 200, 'api-key', '127.0.0.1', 'sweep.request', 'done', n::text, '{}' FROM generate_series(1, 200000) n`,
  );
  await world.host.pool.query('VACUUM ANALYZE lapse.failures, lapse.sweeps, lapse.audit_log');
  await world.host.pool.query(
    `INSERT INTO conversations (tenant_id, project_id, id, user_id)
     SELECT tenant_id, project_id, conversation_id, 'user-' || id FROM workflow_executions`,
  );
  await world.host.pool.query('VACUUM ANALYZE workflow_executions, conversations');
  await world.host.pool.query(
    `UPDATE lapse.timeouts SET resurrected_at = now(), resurrected_status = 'running' WHERE execution_id::int % 20 = 0`,
  );
  await world.host.pool.query(
    `INSERT INTO lapse.undo_outcomes (undo_id, timeout_id, outcome)
     SELECT '00000000-0000-7000-8000-000000000001', id, 'reopened' FROM lapse.timeouts`,
  );
  await world.host.pool.query('VACUUM ANALYZE lapse.timeouts, lapse.undo_outcomes');
}, 60_000);

type Query = (sql: string, parameters?: unknown[]) => Promise<never>;

type Explained = (query: Query) => Query;

/** The driver's connection, whose answers are wrapped once more. */
function explainedConnection(connection: pg.PoolClient, explained: Explained): pg.PoolClient {
  const query: Query = async (sql, parameters) => (await connection.query(sql, parameters)).rows as never;
  const ask = explained(query);
  return new Proxy(connection, {
    get: (target, name) => {
      const value = Reflect.get(target, name);
      if (name === 'query') {
        return async (sql: string, parameters?: unknown[]) => ({ rows: await ask(sql, parameters) });
      }
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Runs what a repository asks with EXPLAIN ANALYZE before it, and hands back every node of the plans. */
async function planOf(ask: () => Promise<unknown>): Promise<Node[]> {
  const dataSource = lapse.app.get(DataSource);
  const plans: Node[] = [];
  const explained =
    (query: Query): Query =>
    async (sql, parameters) => {
      if (/^\s*(SELECT|WITH)/.test(sql)) {
        const [row] = (await query(`EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`, parameters)) as {
          'QUERY PLAN': { Plan: Node }[];
        }[];
        plans.push(...(row?.['QUERY PLAN'] ?? []).map(({ Plan: plan }) => plan));
      }
      return query(sql, parameters);
    };
  const { query, createQueryRunner } = dataSource;
  dataSource.query = explained(query.bind(dataSource)) as never;
  dataSource.createQueryRunner = (...given) => {
    const runner = createQueryRunner.apply(dataSource, given);
    runner.query = explained(runner.query.bind(runner) as Query) as never;
    const { connect } = runner;
    runner.connect = async () => explainedConnection(await connect.call(runner), explained);
    return runner;
  };
  try {
    await ask();
  } finally {
    Object.assign(dataSource, { query, createQueryRunner });
  }
  return plans.flatMap(nodesOf);
}

function nodesOf(node: Node): Node[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

const everything = { projectId: undefined, agentId: undefined };
const waiting = {
  ...everything,
  ...{ id: undefined, conversationId: undefined, userId: undefined, toolName: undefined },
  ...{ status: 'suspended', overdue: undefined, waitingSeconds: undefined },
  timeoutSeconds: 1800,
};
const byId = { ...waiting, id: '20', status: undefined };
const platform = TenantScope.platform();
const tenant = TenantScope.tenant('tenant-20');
const executions = () => lapse.app.get(ExecutionsRepository, { strict: false });
const timeouts = () => lapse.app.get(TimeoutsRepository, { strict: false });
const sweeps = () => lapse.app.get(SweepsRepository, { strict: false });
const undos = () => lapse.app.get(UndoSelectionRepository, { strict: false });
const failures = () => lapse.app.get(FailuresRepository, { strict: false });
const auditLog = () => lapse.app.get(AuditLogRepository, { strict: false });
const anHour = {
  ...{ sweep: null, projectId: null, agentId: null, cutoff: null },
  ...{ from: new Date(Date.now() - 3_600_000).toISOString(), to: new Date(Date.now() + 3_600_000).toISOString() },
};
const first = {
  ...{ after: null, limit: 3_000, tenantId: null, exceptTenants: [], newestFirst: false },
  signal: new AbortController().signal,
};
const anyFailure = { sweepId: undefined, projectId: undefined };
const inLedger = {
  ...everything,
  ...{ sweepId: undefined, undoId: undefined, toolName: undefined, executionId: undefined, resurrected: undefined },
  ...{ from: undefined, to: undefined },
};

const QUESTIONS: Record<string, () => Promise<unknown>> = {
  'what waits on the platform': () => executions().list(platform, waiting, 51, undefined),
  'what waits on the platform, further on': async () => {
    const { rows } = await executions().list(platform, waiting, 5_000, undefined);
    return executions().list(platform, waiting, 51, rows.at(-1)?.position);
  },
  'what is overdue on the platform': () => executions().list(platform, { ...waiting, overdue: true }, 51, undefined),
  'what is not overdue yet': () => executions().list(platform, { ...waiting, overdue: false }, 51, undefined),
  'what waits in a tenant': () => executions().list(tenant, waiting, 51, undefined),
  'what waits in a project of a tenant': () =>
    executions().list(tenant, { ...waiting, projectId: 'project-1' }, 51, undefined),
  'what waits in a conversation': () =>
    executions().list(tenant, { ...waiting, projectId: 'project-6', conversationId: 'conversation-20' }, 51, undefined),
  'what has waited for longer than an hour': () =>
    executions().list(platform, { ...waiting, waitingSeconds: 3_600 }, 51, undefined),
  'what waits for a tool that is rare': () =>
    executions().list(platform, { ...waiting, toolName: 'rare' }, 51, undefined),
  'what waits for a tool in a tenant': () => executions().list(tenant, { ...waiting, toolName: 'rare' }, 51, undefined),
  'what waits for a user': () => executions().list(platform, { ...waiting, userId: 'user-20' }, 51, undefined),
  'what waits for a user of a tenant': () =>
    executions().list(tenant, { ...waiting, userId: 'user-20' }, 51, undefined),
  'what has failed for a user of a tenant': () =>
    executions().list(tenant, { ...waiting, status: 'failed', userId: 'user-20' }, 51, undefined),
  'an id in all tenants': () => executions().list(platform, byId, 51, undefined),
  'an id in all tenants, further on': () => executions().list(platform, byId, 51, ['tenant-20', 'project-1']),
  'an id in a tenant': () => executions().list(tenant, byId, 51, undefined),
  'what has failed on the platform': () => executions().list(platform, { ...waiting, status: 'failed' }, 51, undefined),
  'what has failed in a tenant': () => executions().list(tenant, { ...waiting, status: 'failed' }, 51, undefined),
  'one execution': () =>
    executions().find(tenant, { tenantId: 'tenant-20', projectId: 'project-6', executionId: '20' }, 1800),
  'the ledger of the platform': () => timeouts().list(platform, inLedger, 51, undefined),
  'the ledger of a tenant': () => timeouts().list(tenant, inLedger, 51, undefined),
  'the ledger of a sweep': () =>
    timeouts().list(platform, { ...inLedger, sweepId: '00000000-0000-7000-8000-000000000007' }, 51, undefined),
  'the sweeps of the platform': () => sweeps().list(platform, {}, 51, undefined),
  'the sweeps of a tenant': () => sweeps().list(tenant, { trigger: 'api' }, 51, undefined),
  'the sweeps that touched a tenant, none of which is its own': () =>
    sweeps().list(TenantScope.tenant('nobody'), {}, 51, undefined),
  'the undos of a tenant': () => sweeps().list(tenant, { kind: 'undo', minTimedOut: 0 }, 51, undefined),
  'the sweeps of an hour': () =>
    sweeps().list(tenant, { from: anHour.from, to: anHour.to, minTimedOut: 0 }, 51, undefined),
  'what an undo of an hour finds': () => undos().find(platform, anHour, first),
  'what an undo of an hour of a tenant finds': () => undos().find(tenant, anHour, first),
  'how much an undo of an hour of a tenant finds': () => undos().summarize(tenant, anHour),
  'sweeps of a kind that is rare': () => sweeps().list(platform, { status: 'failed' }, 51, undefined),
  'the failures of the platform': () => failures().list(platform, anyFailure, 51, undefined),
  'the failures of a tenant': () => failures().list(tenant, anyFailure, 51, undefined),
  'the failures of a sweep': () =>
    failures().list(platform, { ...anyFailure, sweepId: '00000000-0000-7000-8000-000000000007' }, 51, undefined),
  'the audit log of the platform': () => auditLog().list(platform, {}, 51, undefined),
  'the audit log of a tenant': () => auditLog().list(tenant, { action: 'sweep.request' }, 51, undefined),
  'one call on the audit log': () => auditLog().list(tenant, { requestId: '20' }, 51, undefined),
  'the history of one execution': () => timeouts().list(platform, { ...inLedger, executionId: '20' }, 51, undefined),
  'the history of one execution of a tenant': () =>
    timeouts().list(tenant, { ...inLedger, projectId: 'p', executionId: '20' }, 51, undefined),
  'the pauses of sweeps': () =>
    failures().findPaused(platform, ['00000000-0000-7000-8000-000000000007', '00000000-0000-7000-8000-000000000008']),
  'what came back by itself': () => timeouts().list(platform, { ...inLedger, resurrected: true }, 51, undefined),
  'what came back by itself in a tenant': () =>
    timeouts().list(tenant, { ...inLedger, resurrected: true }, 51, undefined),
  'what an undo did': () =>
    timeouts().list(platform, { ...inLedger, undoId: '00000000-0000-7000-8000-000000000001' }, 51, undefined),
  'the ledger of an hour': () =>
    timeouts().list(tenant, { ...inLedger, from: new Date(Date.now() - 3_600_000).toISOString() }, 51, undefined),
};

test.each(Object.entries(QUESTIONS))(
  '%s is read from an index, without sorting or reading a table',
  async (_what, ask) => {
    const nodes = await planOf(ask);
    const scans = nodes.filter((node) => node['Relation Name'] !== undefined);
    expect(scans.some((node) => node['Actual Rows'] > 0)).toBe(true);
    expect(
      scans
        .map((node) => `${node['Node Type']} of ${node['Relation Name']}`)
        .filter((scan) => !/^(Index|Bitmap)/.test(scan)),
    ).toEqual([]);
    // What is sorted is the page that has been found, or the few executions of a conversation.
    const sorted = nodes.filter((node) => /Sort/.test(node['Node Type'])).map((node) => node['Actual Rows']);
    expect(sorted.filter((rows) => rows > 5_000)).toEqual([]);
    const touched = scans.map(
      (node) => (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
    );
    expect(Math.max(...touched)).toBeLessThanOrEqual(20_000);
  },
);

test('the history of one execution is read from its index without statistics too', async () => {
  const { pool } = world.host;
  await pool.query(`DELETE FROM pg_statistic WHERE starelid = 'lapse.timeouts'::regclass`);
  for (const scope of [platform, tenant]) {
    const nodes = await planOf(() => timeouts().list(scope, { ...inLedger, executionId: '20' }, 51, undefined));
    expect(nodes.map((node) => node['Index Name'])).toContain('timeouts_by_execution');
    expect(nodes.map((node) => node['Rows Removed by Filter'] ?? 0).filter((rows) => rows > 10)).toEqual([]);
  }
  await pool.query('ANALYZE lapse.timeouts');
});
