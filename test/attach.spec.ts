import { afterEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { readConfiguration } from '../src/config/configuration.js';
import { openDatabase } from '../src/database/open-database.js';
import { WatchedTableIndexes } from '../src/executions/watched-table-indexes.js';
import { LateApprovalGuard } from '../src/timeouts/late-approval-guard.service.js';
import { ResurrectionsService } from '../src/timeouts/resurrections.service.js';
import { DatabaseProxy } from './support/database-proxy.js';
import { createDatabase, dropDatabase, testServer } from './support/databases.js';
import { eventually } from './support/eventually.js';
import { Lapse } from './support/lapse.js';
import { ADA } from './support/people.js';

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

/** An empty database, and a connection of a host's to it. */
async function emptyDatabase(): Promise<{
  url: string;
  sql: (text: string, values?: unknown[]) => Promise<pg.QueryResult>;
}> {
  const url = await createDatabase('nothing');
  cleanups.push(() => dropDatabase(url));
  const pool = new pg.Pool({ connectionString: url });
  pool.on('error', () => undefined);
  cleanups.push(() => pool.end());
  return { url, sql: (text, values) => pool.query(text, values) };
}

async function startLapse(url: string, environment: Record<string, string> = {}): Promise<Lapse> {
  const lapse = await Lapse.start(url, environment);
  cleanups.push(() => lapse.stop());
  return lapse;
}

function table(type: string, suffix = ''): string {
  return `CREATE TABLE workflow_executions (
    tenant_id varchar(256) NOT NULL, project_id varchar(256) NOT NULL, id varchar(256) NOT NULL,
    agent_id varchar(256) NOT NULL, conversation_id varchar(256) NOT NULL, request_id varchar(256),
    status varchar(50) NOT NULL DEFAULT 'running', metadata jsonb,
    created_at ${type} NOT NULL DEFAULT now(), updated_at ${type} NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, project_id, id)) ${suffix}`;
}

/** Suspended for 1 to 60 minutes, one a minute, written as a host does: UTC without a zone, or a moment. */
function insertSixty(type: string): string {
  const since = type === 'timestamp' ? `(now() AT TIME ZONE 'UTC')` : 'now()';
  return `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, updated_at)
          SELECT 'tenant-' || n % 7, 'project', n::text, 'agent', 'conversation', 'suspended', ${since} - n * interval '1 minute'
            FROM generate_series(1, 60) n`;
}

for (const type of ['timestamp', 'timestamptz']) {
  test.each(['UTC', 'America/St_Johns', 'Asia/Kolkata', 'Pacific/Kiritimati'])(
    `with updated_at of type ${type} and a server in %s, exactly the overdue are timed out`,
    async (zone) => {
      const { url, sql } = await emptyDatabase();
      await sql(table(type));
      await sql(insertSixty(type));
      await sql(
        `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = %L', current_database(), '${zone}'); END $$`,
      );
      const lapse = await startLapse(url);

      const { body } = await lapse.post('/v1/sweeps');

      expect(body.counts).toEqual({ timedOut: 31, skipped: 0, failed: 0, total: 31 });
      const { rows } = await sql(`SELECT min(id::int) AS youngest FROM workflow_executions WHERE status = 'failed'`);
      expect(rows[0].youngest).toBe(30);
      const moment = type === 'timestamp' ? `(e.updated_at AT TIME ZONE 'UTC')` : 'e.updated_at';
      const { rows: wrong } = await sql(
        `SELECT * FROM lapse.timeouts t JOIN workflow_executions e ON e.id = t.execution_id AND e.tenant_id = t.tenant_id
          WHERE t.timed_out_at <> ${moment} OR t.deadline <> t.suspended_since + interval '30 minutes'
             OR abs(extract(epoch FROM now() - t.suspended_since) - e.id::int * 60) > 60`,
      );
      expect(wrong).toEqual([]);
    },
  );
}

test('a partitioned table is swept whole, although its partitions use the same places', async () => {
  const { url, sql } = await emptyDatabase();
  await sql(table('timestamp', 'PARTITION BY HASH (tenant_id)'));
  for (const remainder of [0, 1, 2, 3]) {
    await sql(
      `CREATE TABLE executions_${remainder} PARTITION OF workflow_executions FOR VALUES WITH (MODULUS 4, REMAINDER ${remainder})`,
    );
  }
  await sql(insertSixty('timestamp'));
  const lapse = await startLapse(url, { LAPSE_SWEEP_BATCH_SIZE: '3' });

  expect((await lapse.post('/v1/sweeps', { tenantId: 'tenant-0' })).body.counts.timedOut).toBe(4);
  expect((await lapse.post('/v1/sweeps')).body.counts.timedOut).toBe(27);

  const { rows } = await sql(
    'SELECT count(*)::int AS count, count(DISTINCT execution_id)::int AS distinct FROM lapse.timeouts',
  );
  expect(rows).toEqual([{ count: 31, distinct: 31 }]);
});

test.each([
  ['whole', '', 1],
  ['partitioned', 'PARTITION BY HASH (tenant_id)', 2],
])('missing indexes of a %s table are named with commands that create them', async (_what, suffix, partitions) => {
  const { url, sql } = await emptyDatabase();
  await sql(table('timestamp', suffix));
  for (let remainder = 0; suffix && remainder < partitions; remainder += 1) {
    await sql(
      `CREATE TABLE "Executions ${remainder}" PARTITION OF workflow_executions FOR VALUES WITH (MODULUS ${partitions}, REMAINDER ${remainder})`,
    );
  }
  const lapse = await startLapse(url);
  const indexes = lapse.app.get(WatchedTableIndexes, { strict: false });

  const missing = await indexes.missing();
  expect(missing.map(({ commands }) => commands.length)).toEqual([partitions, partitions]);
  for (const { commands } of missing) {
    for (const command of commands) {
      expect(command).toMatch(/^CREATE INDEX CONCURRENTLY /);
      await sql(command);
    }
  }
  expect(await indexes.missing()).toEqual([]);
});

test.each([
  ['timestamp', 'Asia/Kolkata', false],
  ['timestamptz', 'America/St_Johns', false],
  ['timestamp(3)', 'UTC', false],
  ['timestamp', 'UTC', true],
])(
  'with updated_at of type %s, a server in %s, partitioned: %p, timeouts are guarded, watched and taken back',
  async (type, zone, partitioned) => {
    const { url, sql } = await emptyDatabase();
    await sql(table(type, partitioned ? 'PARTITION BY HASH (tenant_id)' : ''));
    for (const remainder of partitioned ? [0, 1, 2, 3] : []) {
      await sql(
        `CREATE TABLE executions_${remainder} PARTITION OF workflow_executions FOR VALUES WITH (MODULUS 4, REMAINDER ${remainder})`,
      );
    }
    await sql(insertSixty(type.startsWith('timestamptz') ? 'timestamptz' : 'timestamp'));
    await sql(
      `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = %L', current_database(), '${zone}'); END $$`,
    );
    const lapse = await startLapse(url);
    const guard = lapse.app.get(LateApprovalGuard, { strict: false });
    const { body: sweep } = await lapse.post('/v1/sweeps');
    const approve = (id: string) => sql(`UPDATE workflow_executions SET status = 'running' WHERE id = $1`, [id]);

    await guard.install(ADA);
    await expect(approve('60')).rejects.toMatchObject({ code: 'LP001' });
    await guard.remove(ADA);
    await approve('60');
    expect(await lapse.app.get(ResurrectionsService, { strict: false }).detect()).toBe(1);
    await guard.install(ADA);
    const { body: undo } = await lapse.post(`/v1/sweeps/${sweep.id}/undo`, { reason: 'too short' });

    expect(undo).toMatchObject({ undone: { reopened: 30, changedSince: 1, gone: 0 }, counts: { failed: 0 } });
    const { body } = await lapse.get('/v1/executions?limit=500');
    expect(body.items.filter(({ overdue }: { overdue: boolean }) => overdue)).toEqual([]);
    expect(body.items).toHaveLength(59);
  },
);

test('both schemas may be called otherwise', async () => {
  const { url, sql } = await emptyDatabase();
  await sql('CREATE SCHEMA "Host"');
  await sql(table('timestamp').replace('workflow_executions', '"Host".workflow_executions'));
  await sql(insertSixty('timestamp').replace('INTO workflow_executions', 'INTO "Host".workflow_executions'));
  const lapse = await startLapse(url, { LAPSE_WATCHED_SCHEMA: 'Host', LAPSE_SCHEMA: 'Lapse_2' });

  expect((await lapse.post('/v1/sweeps')).body.counts.timedOut).toBe(31);

  expect((await sql('SELECT count(*)::int AS count FROM "Lapse_2".timeouts')).rows).toEqual([{ count: 31 }]);
});

test('what a database is set to, isolation and timeouts, changes nothing', async () => {
  const { url, sql } = await emptyDatabase();
  await sql(table('timestamp'));
  await sql(insertSixty('timestamp'));
  for (const setting of [
    `default_transaction_isolation = 'serializable'`,
    `idle_in_transaction_session_timeout = '50ms'`,
  ]) {
    await sql(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET ', current_database()) || $s$${setting}$s$; END $$`);
  }
  const lapse = await startLapse(url);
  expect((await lapse.post('/v1/sweeps')).body.counts.timedOut).toBe(31);
});

test('where the watched table is missing, the service does not start and says so in one line', async () => {
  const { url } = await emptyDatabase();
  await expect(startLapse(url)).rejects.toThrow(
    /^There is no table "public"\.workflow_executions; set LAPSE_WATCHED_SCHEMA .+$/,
  );
});

test('where the watched table has other columns, the service does not start and names them', async () => {
  const { url, sql } = await emptyDatabase();
  await sql(
    'CREATE TABLE workflow_executions (tenant_id text, project_id text, id text, status text, metadata json, updated_at date)',
  );
  await expect(startLapse(url)).rejects.toThrow(
    /columns are missing: agent_id, conversation_id, request_id, created_at; updated_at is date, .+; metadata is json, and must be jsonb/,
  );
});

test('replicas that start at once migrate once', async () => {
  const { url, sql } = await emptyDatabase();
  const configuration = readConfiguration({ DATABASE_URL: url, LAPSE_CREATE_WATCHED_TABLES: 'true' });

  const opened = await Promise.all(Array.from({ length: 5 }, () => openDatabase(configuration)));
  await Promise.all(opened.map((dataSource) => dataSource.destroy()));

  const { rows } = await sql('SELECT name, count(*)::int AS times FROM lapse.migrations GROUP BY name');
  expect(rows.map(({ times }) => times)).toEqual(rows.map(() => 1));
});

test('a role that may not create the schema is told what to ask for', async () => {
  const { url, sql } = await emptyDatabase();
  await sql(`DROP ROLE IF EXISTS lapse_poor`);
  await sql(`CREATE ROLE lapse_poor LOGIN PASSWORD 'poor'`);
  cleanups.splice(0, 0, () => onServer('DROP ROLE lapse_poor'));
  const poor = new URL(url);
  poor.username = 'lapse_poor';
  poor.password = 'poor';
  await expect(startLapse(poor.href)).rejects.toThrow(
    /CREATE SCHEMA IF NOT EXISTS "lapse"; GRANT USAGE, CREATE ON SCHEMA "lapse"/,
  );
});

test('a wrong password ends the boot at once, without the password in the message', async () => {
  const { url } = await emptyDatabase();
  const wrong = new URL(url);
  wrong.username = 'nobody_like_that';
  wrong.password = 'hunter2';
  const boot = startLapse(wrong.href);
  await expect(boot).rejects.toThrow(/^PostgreSQL refused the connection/);
  await expect(boot).rejects.not.toThrow(/hunter2/);
});

test('a server that is away at boot is waited for', async () => {
  const { url, sql } = await emptyDatabase();
  await sql(table('timestamp'));
  const proxy = await DatabaseProxy.to(url);
  cleanups.push(() => proxy.stop());
  proxy.cut();
  const boot = startLapse(proxy.url);
  proxy.mend();
  const lapse = await boot;
  expect((await lapse.get('/health/ready')).status).toBe(200);
});

test('a server that goes away and comes back costs the ticks between, not the process', async () => {
  const { url, sql } = await emptyDatabase();
  await sql(table('timestamp'));
  await sql(insertSixty('timestamp'));
  const proxy = await DatabaseProxy.to(url);
  cleanups.push(() => proxy.stop());
  const lapse = await startLapse(proxy.url);
  const { SweepsScheduler } = await import('../src/sweeps/sweeps.scheduler.js');
  const scheduler = lapse.app.get(SweepsScheduler, { strict: false });

  proxy.cut();
  await scheduler.tick();
  const [ready, live, sweep] = await Promise.all([
    lapse.get('/health/ready'),
    lapse.get('/health/live'),
    lapse.post('/v1/sweeps'),
  ]);
  proxy.mend();
  await scheduler.tick();

  expect([ready.status, live.status]).toEqual([503, 200]);
  expect(sweep.status).toBe(503);
  const { rows } = await sql(`SELECT count(*)::int AS count FROM workflow_executions WHERE status = 'failed'`);
  expect(rows).toEqual([{ count: 31 }]);
  await eventually(
    () => lapse.get('/health/ready'),
    ({ status }) => status === 200,
  );
});

async function onServer(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: testServer() });
  await client.connect();
  await client.query(sql);
  await client.end();
}
