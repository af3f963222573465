import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { readConfiguration } from '../src/config/configuration.js';
import { connectPatiently } from '../src/database/open-database.js';
import { inspectWatchedTable } from '../src/executions/watched-table.js';
import { LateApprovalGuard } from '../src/timeouts/late-approval-guard.service.js';
import { Lapse } from './support/lapse.js';
import { ADA } from './support/people.js';
import { useDatabase } from './support/world.js';

const world = useDatabase();
const SCHEMA = 'attached';
const sql = (text: string, values?: unknown[]) => world.host.pool.query(text, values);

beforeEach(() => sql(`CREATE SCHEMA ${SCHEMA}`));
afterEach(async () => {
  await Lapse.stopAll();
  await sql(`DROP SCHEMA ${SCHEMA} CASCADE`);
});

const COLUMNS: Record<string, string> = {
  tenant_id: 'varchar(256) NOT NULL',
  project_id: 'varchar(256) NOT NULL',
  id: 'varchar(256) NOT NULL',
  agent_id: 'varchar(256) NOT NULL',
  conversation_id: 'varchar(256) NOT NULL',
  request_id: 'varchar(256)',
  status: `varchar(50) NOT NULL DEFAULT 'running'`,
  metadata: 'jsonb',
  created_at: 'timestamp NOT NULL DEFAULT now()',
  updated_at: 'timestamp NOT NULL DEFAULT now()',
};
const KEY = 'PRIMARY KEY (tenant_id, project_id, id)';

/** The host's table, with other columns in place of some. */
async function create(changed: Record<string, string> = {}, constraint = KEY): Promise<void> {
  const columns = Object.entries({ ...COLUMNS, ...changed }).map(([name, type]) => `${name} ${type}`);
  await sql(`CREATE TABLE ${SCHEMA}.workflow_executions (${[...columns, constraint].filter(Boolean).join(', ')})`);
}

/** So many that have waited for an hour, written as a host does in a session of UTC. */
async function suspend(count: number): Promise<void> {
  await sql(
    `INSERT INTO ${SCHEMA}.workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, metadata, updated_at)
     SELECT 'acme', 'support', gen_random_uuid()::text, 'agent', 'c', 'suspended', '{}', now() - interval '1 hour'
       FROM generate_series(1, $1)`,
    [count],
  );
}

const start = () => Lapse.start(world.databaseUrl, { LAPSE_WATCHED_SCHEMA: SCHEMA });

async function concerns(): Promise<readonly string[]> {
  const configuration = readConfiguration({ DATABASE_URL: world.databaseUrl });
  const dataSource = await connectPatiently(configuration, 'DATABASE_URL', 5_000);
  try {
    return (await inspectWatchedTable(dataSource, SCHEMA)).concerns;
  } finally {
    await dataSource.destroy();
  }
}

test.each([
  ['id', 'uuid NOT NULL', 'id is uuid, and must be text or varchar'],
  ['tenant_id', 'integer NOT NULL', 'tenant_id is integer, and must be text or varchar'],
  ['project_id', 'char(36) NOT NULL', 'project_id is character(36), and must be text or varchar'],
  ['agent_id', '"char" NOT NULL', 'agent_id is "char", and must be text or varchar'],
  ['conversation_id', 'bigint', 'conversation_id is bigint, and must be text or varchar'],
  ['request_id', 'bytea', 'request_id is bytea, and must be text or varchar'],
  ['status', 'attached.state', 'status is attached.state, and must be text or varchar'],
  ['id', 'attached.key', 'id is attached.key (a domain over uuid), and must be text or varchar'],
  ['metadata', 'json', 'metadata is json, and must be jsonb'],
  ['updated_at', 'bigint', 'updated_at is bigint, and must be timestamp or timestamptz'],
  ['created_at', 'date', 'created_at is date, and must be timestamp or timestamptz'],
  ['id', 'text COLLATE attached.loose NOT NULL', 'id has the nondeterministic collation "loose", under which'],
  ['status', `text GENERATED ALWAYS AS ('suspended') STORED`, 'status is a generated column, and Lapse must be able'],
])('a table whose %s is %s is refused with the reason', async (column, type, reason) => {
  await sql(`CREATE TYPE attached.state AS ENUM ('suspended', 'failed')`);
  await sql('CREATE DOMAIN attached.uid AS uuid');
  await sql('CREATE DOMAIN attached.key AS attached.uid');
  await sql(`CREATE COLLATION attached.loose (provider = icu, locale = 'und', deterministic = false)`);
  await create({ [column]: type });
  await expect(concerns()).rejects.toThrow(`The table "attached".workflow_executions can't be watched: ${reason}`);
});

test('several faults are reported together, and the service does not start', async () => {
  await create({ id: 'uuid NOT NULL', status: 'integer', tenant_id: 'text' }, '');
  await expect(start()).rejects.toThrow(
    "can't be watched: id is uuid, and must be text or varchar; status is integer, and must be text or varchar; " +
      'tenant_id may be NULL, and must be NOT NULL',
  );
});

test('a view is refused as one', async () => {
  await sql(`CREATE VIEW ${SCHEMA}.workflow_executions AS SELECT * FROM public.workflow_executions`);
  await expect(concerns()).rejects.toThrow('it is a view, and must be a table');
});

test('a table without a unique key, or with updated_at that may be NULL, works and is a concern', async () => {
  await create({}, 'UNIQUE (tenant_id, id)');
  expect(await concerns()).toEqual([]);
  await sql(`ALTER TABLE ${SCHEMA}.workflow_executions DROP CONSTRAINT workflow_executions_tenant_id_id_key,
               ALTER updated_at DROP NOT NULL`);
  expect(await concerns()).toEqual([
    expect.stringMatching(/^No primary key or unique index makes \(tenant_id, project_id, id\) unique/),
    expect.stringMatching(/^updated_at may be NULL/),
  ]);
});

test('with columns of domains and text, executions are listed, timed out, guarded and taken back', async () => {
  await sql('CREATE DOMAIN attached.name AS text NOT NULL');
  await sql('CREATE DOMAIN attached.id AS attached.name');
  await sql('CREATE DOMAIN attached.moment AS timestamptz(3)');
  await sql('CREATE DOMAIN attached.document AS jsonb');
  await create({
    ...{ tenant_id: 'attached.id', project_id: 'attached.name', id: 'attached.id', status: 'attached.name' },
    ...{ agent_id: 'text', conversation_id: 'attached.id', metadata: 'attached.document' },
    ...{ created_at: 'attached.moment DEFAULT now()', updated_at: 'attached.moment NOT NULL' },
  });
  await suspend(30);
  const lapse = await start();
  await lapse.app.get(LateApprovalGuard, { strict: false }).install(ADA);

  const first = (await lapse.get('/v1/executions?limit=20')).body;
  expect((await lapse.get(`/v1/executions?limit=20&cursor=${first.nextCursor}`)).body.items).toHaveLength(10);
  const { body: sweep } = await lapse.post('/v1/sweeps');
  expect(sweep.counts).toEqual({ timedOut: 30, skipped: 0, failed: 0, total: 30 });
  const { body: undo } = await lapse.post(`/v1/sweeps/${sweep.id}/undo`, { reason: 'a trial' });
  expect(undo.undone.reopened).toBe(30);
});

test('executions without updated_at are listed behind the others, once each, and never time out', async () => {
  await create({ updated_at: 'timestamp' });
  await suspend(5);
  await sql(`UPDATE ${SCHEMA}.workflow_executions SET id = 'undated ' || id, updated_at = NULL
              WHERE id IN (SELECT id FROM ${SCHEMA}.workflow_executions LIMIT 3)`);
  const lapse = await start();

  for (const query of ['', '&tenantId=acme', '&agentId=agent']) {
    for (const limit of [1, 2, 3, 5, 50]) {
      const items = [];
      let cursor = '';
      do {
        const { body } = await lapse.get(`/v1/executions?limit=${limit}${query}${cursor}`);
        items.push(...body.items);
        cursor = body.nextCursor ? `&cursor=${body.nextCursor}` : '';
      } while (cursor);
      expect(items.map(({ updatedAt }) => updatedAt === null)).toEqual([false, false, true, true, true]);
      expect(new Set(items.map(({ id }) => id)).size).toBe(5);
      expect(items.at(-1)).toMatchObject({ suspendedSince: null, deadline: null, overdue: false });
    }
  }
  expect((await lapse.post('/v1/sweeps')).body.counts.timedOut).toBe(2);
  expect((await lapse.get('/v1/backlog')).body).toMatchObject({ suspended: 3, overdue: 0 });
});

test('a column that changes its type while the service runs is read as what it is', async () => {
  await create();
  await suspend(1);
  const lapse = await start();
  expect((await lapse.get('/v1/executions')).body.items).toHaveLength(1);

  await sql(`ALTER TABLE ${SCHEMA}.workflow_executions
               ALTER updated_at TYPE bigint USING extract(epoch FROM updated_at)::bigint, ALTER updated_at DROP DEFAULT`);
  for (const path of ['/v1/executions', '/v1/backlog']) {
    const { status, body } = await lapse.get(path);
    expect([status, body.code]).toEqual([503, 'table_unreadable']);
    expect(body.detail).toContain('updated_at is bigint, and must be timestamp or timestamptz');
  }
  const key = await lapse.createKey('viewer', 'acme');
  expect((await lapse.get('/v1/executions', key)).body.detail).not.toMatch(/bigint|attached/);
  await sql(
    `ALTER TABLE ${SCHEMA}.workflow_executions ALTER updated_at TYPE timestamptz USING to_timestamp(updated_at)`,
  );

  const { body } = await lapse.get('/v1/executions');
  expect(body.items).toMatchObject([{ overdue: true }]);
  await sql(`ALTER TABLE ${SCHEMA}.workflow_executions ALTER id TYPE uuid USING id::uuid`);
  const one = await lapse.get('/v1/tenants/acme/projects/support/executions/exec_1');
  expect([one.status, one.body.code]).toEqual([503, 'table_unreadable']);
});

test('the application has one WatchedTable, and looking again changes it', async () => {
  const { WatchedTable } = await import('../src/executions/watched-table.js');
  await create();
  const lapse = await start();
  const watched = lapse.app.get(WatchedTable, { strict: false });
  expect(watched.updatedAtType).toBe('timestamp');
  await sql(`ALTER TABLE ${SCHEMA}.workflow_executions ALTER updated_at TYPE timestamptz`);
  await Promise.all([watched.refresh(), watched.refresh()]);
  expect(watched.updatedAtType).toBe('timestamptz');
  await sql(`DROP TABLE ${SCHEMA}.workflow_executions`);
  await expect(watched.refresh()).rejects.toThrow(/There is no table "attached"/);
});

test('pending approvals of conversations that are missing or of another type are 503, and all else works', async () => {
  await create();
  const lapse = await start();
  const path = '/v1/tenants/acme/projects/support/conversations/c/pending-approvals';
  expect((await lapse.get(path)).body).toMatchObject({ status: 503, code: 'table_unreadable' });
  await sql(`CREATE TABLE ${SCHEMA}.conversations (tenant_id text, project_id text, id uuid, user_id text)`);
  expect((await lapse.get(path)).body).toMatchObject({ status: 503, code: 'table_unreadable' });
  expect((await lapse.get('/v1/executions')).status).toBe(200);
});

test('tables that exist are not touched at boot, even where the tables are to be created if missing', async () => {
  await create();
  const lock = await world.host.pool.connect();
  await lock.query(`BEGIN; LOCK TABLE ${SCHEMA}.workflow_executions IN ACCESS EXCLUSIVE MODE`);
  try {
    const lapse = await Lapse.start(world.databaseUrl, {
      LAPSE_WATCHED_SCHEMA: SCHEMA,
      LAPSE_CREATE_WATCHED_TABLES: 'true',
    });
    expect((await lapse.get('/health/live')).status).toBe(200);
  } finally {
    await lock.query('ROLLBACK');
    lock.release();
  }
  const { rows } = await sql(
    `SELECT indexname FROM pg_indexes WHERE schemaname = '${SCHEMA}' AND tablename = 'workflow_executions'`,
  );
  expect(rows).toHaveLength(1);
});
