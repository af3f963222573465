import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import pg from 'pg';
import { EmbeddedPostgres } from '../src/database/embedded-postgres/embedded-postgres.js';
import { AdvisoryLockService } from '../src/locks/advisory-lock.service.js';
import { advisoryLockKey } from '../src/locks/advisory-lock-key.js';
import { DatabaseProxy } from './support/database-proxy.js';
import { Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();

test('a viewer of the platform sees the locks that another replica holds, a tenant sees none', async () => {
  const { lapse, databaseUrl } = world;
  const other = await Lapse.start(databaseUrl);
  const locks = other.app.get(AdvisoryLockService, { strict: false });

  await locks.withLock({ name: 'sweep of tenant acme', onBusy: 'skip' }, async () => {
    const { status, body } = await lapse.get('/v1/locks', await lapse.createKey('viewer'));
    expect(status).toBe(200);
    expect(body).toEqual({
      items: [
        {
          name: 'sweep of tenant acme',
          since: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
          applicationName: expect.stringMatching(new RegExp(`^lapse .+/${process.pid} sweep of tenant`)),
          clientAddress: '127.0.0.1',
          pid: expect.any(Number),
        },
      ],
      nextCursor: null,
    });
    for (const tenant of ['acme', 'globex']) {
      const refused = await lapse.get('/v1/locks', await lapse.createKey('admin', tenant));
      expect(refused.status).toBe(403);
      expect(refused.body).toMatchObject({ code: 'platform_credential_needed' });
      expect(JSON.stringify(refused.body)).not.toMatch(/acme|globex/);
    }
  });

  expect((await lapse.get('/v1/locks')).body.items).toEqual([]);
});

test('locks that another program holds are shown if Lapse may take them: the schedule’s, the migrations’, those of running sweeps', async () => {
  const { lapse, host, databaseUrl } = world;
  const database = new URL(databaseUrl).pathname.slice(1);
  await host.pool.query(
    `INSERT INTO lapse.sweeps (trigger, tenant_id, dry_run, timeout_seconds, requested_by, lock_name)
     VALUES ('api', 'acme', false, 1800, 'somebody', 'sweep of tenant acme')`,
  );
  const client = await host.pool.connect();
  await client.query(`SET application_name = 'psql of somebody'`);
  for (const name of ['sweep', 'migrate', 'sweep of tenant acme', 'of no use']) {
    const key = advisoryLockKey({ application: 'lapse', database, schema: 'lapse', name });
    await client.query('SELECT pg_advisory_lock($1)', [key]);
  }

  const { items } = (await lapse.get('/v1/locks')).body;
  const requested = await lapse.post('/v1/sweeps', {});
  client.release(true);

  expect(items.map(({ name }: { name: string }) => name).sort()).toEqual(['migrate', 'sweep', 'sweep of tenant acme']);
  expect(items[0]).toMatchObject({ applicationName: 'psql of somebody', pid: expect.any(Number) });
  expect([requested.status, requested.body.code]).toEqual([409, 'sweep_running']);
  expect(requested.body.detail).toContain('held by "psql of somebody" since');
});

test('a lock that a prepared transaction holds is shown without a process', async () => {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'lapse-prepared-'));
  const settings = { fsync: 'off', shared_buffers: '16MB', max_prepared_transactions: '2' };
  const server = await EmbeddedPostgres.start({ dataDirectory, settings });
  const lapse = await Lapse.start(server.url, { LAPSE_CREATE_WATCHED_TABLES: 'true' });
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  await client.query('BEGIN');
  const key = advisoryLockKey({ application: 'lapse', database: 'lapse', schema: 'lapse', name: 'sweep' });
  await client.query('SELECT pg_advisory_xact_lock($1)', [key]);
  await client.query(`PREPARE TRANSACTION 'forgotten'`);

  const { items } = (await lapse.get('/v1/locks')).body;
  await client.query(`ROLLBACK PREPARED 'forgotten'`);
  await client.end();
  await lapse.stop();
  await server.stop();
  await rm(dataDirectory, { recursive: true });

  expect(items).toEqual([
    {
      name: 'sweep',
      since: expect.any(String),
      applicationName: 'prepared transaction forgotten',
      clientAddress: null,
      pid: null,
    },
  ]);
}, 60_000);

test.each([
  ['cut', 503, 'sweeps_unavailable'],
  // Connections that give no answer are replaced, and new ones work here.
  ['silence', 200, undefined],
] as const)(
  'if the connections of the locks break (%s), the answer is 503, and then as good as new ones',
  async (how, status, code) => {
    const proxy = await DatabaseProxy.to(world.databaseUrl);
    const lapse = await Lapse.start(world.databaseUrl, { LAPSE_LOCK_DATABASE_URL: proxy.url });
    proxy[how]();

    const [locks, sweep] = [await lapse.get('/v1/locks'), await lapse.post('/v1/sweeps', {})];

    expect([locks.status, locks.body.code]).toEqual([503, 'locks_unavailable']);
    expect([sweep.status, sweep.body.code]).toEqual([status, code]);
    await proxy.stop();
  },
);
