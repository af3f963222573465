import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { EmbeddedPostgres } from '../src/database/embedded-postgres/embedded-postgres.js';
import { SweepsScheduler } from '../src/sweeps/sweeps.scheduler.js';
import { DatabaseProxy } from './support/database-proxy.js';
import { eventually } from './support/eventually.js';
import { type Answer, Lapse } from './support/lapse.js';
import { useDatabase } from './support/world.js';

const world = useDatabase();

beforeEach(() => world.host.clear());
afterEach(() => Lapse.stopAll());

const ready = (lapse: Lapse): Promise<Answer> => lapse.send('GET', '/health/ready', null);

function unready(code: string, detail: string | RegExp) {
  return { status: 503, body: expect.objectContaining({ code, detail: expect.stringMatching(detail) }) };
}

/** New connections of Lapse meet what has been set for the database meanwhile. */
async function endConnections(): Promise<void> {
  await world.host.pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'lapse' AND pid <> pg_backend_pid()`,
  );
}

async function setForDatabase(setting: string): Promise<void> {
  const { rows } = await world.host.pool.query('SELECT current_database() AS name');
  await world.host.pool.query(`ALTER DATABASE "${rows[0].name}" ${setting}`);
}

test('a database that accepts no writes: readiness, the API and the log of the schedule say so, until it accepts them again', async () => {
  const lapse = await Lapse.start(world.databaseUrl, { LAPSE_SWEEP_CRON: '0 0 1 1 *' });
  const warnings: string[] = [];
  Logger.overrideLogger({ log: () => undefined, warn: (line: string) => warnings.push(line), error: () => undefined });
  const scheduler = lapse.app.get(SweepsScheduler, { strict: false });
  await world.host.suspend({ minutes: 31 });
  expect((await ready(lapse)).status).toBe(200);

  await setForDatabase('SET default_transaction_read_only = on');
  await endConnections();
  const answers = [await ready(lapse), await lapse.post('/v1/sweeps', {}), await lapse.get('/v1/sweeps')];
  await scheduler.tick();
  await scheduler.tick();
  await setForDatabase('RESET default_transaction_read_only');

  expect(answers[0]).toMatchObject(
    unready(
      'database_read_only',
      /^The database can be read but not written: its transactions are read-only by default$/,
    ),
  );
  expect(answers[1]).toMatchObject(unready('database_read_only', /can be read but not written/));
  expect(answers[2]?.status).toBe(200);
  const failures = warnings.filter((line) => line.startsWith('Scheduled sweep failed'));
  expect(failures).toEqual([
    expect.stringMatching(
      /^Scheduled sweep failed: the database can't be written: transactions of role ".*" in database ".*" are read-only by default \(set for the database\) .*; to do: .*RESET default_transaction_read_only;; retrying at the next tick$/,
    ),
  ]);

  // Neither ended nor restarted: the connections that met the setting are replaced.
  await scheduler.tick();
  expect(await world.host.count('failed')).toBe(1);
  expect((await ready(lapse)).status).toBe(200);
});

test('a standby can be read and is not ready, until it is promoted; nor is a server that is configured to be read-only', async () => {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'lapse-standby-'));
  const settings = { fsync: 'off', shared_buffers: '16MB' };
  const primary = await EmbeddedPostgres.start({ dataDirectory, settings });
  await (await Lapse.start(primary.url, { LAPSE_CREATE_WATCHED_TABLES: 'true' })).stop();
  await primary.stop();
  await writeFile(join(dataDirectory, 'postgres', 'standby.signal'), '');
  const standby = await EmbeddedPostgres.start({ dataDirectory, settings });
  const lapse = await Lapse.start(standby.url);

  const [unpromoted, list] = [await ready(lapse), await lapse.get('/v1/sweeps')];
  const client = new pg.Client({ connectionString: standby.url });
  await client.connect();
  await client.query('SELECT pg_promote()');
  const promoted = await ready(lapse);
  await client.query('ALTER SYSTEM SET default_transaction_read_only = on');
  await client.query('SELECT pg_reload_conf()');
  const configured = await eventually(
    () => ready(lapse),
    ({ status }) => status !== 200,
  );
  await client.end();
  await lapse.stop();
  await standby.stop();
  await rm(dataDirectory, { recursive: true });

  expect(unpromoted).toMatchObject(
    unready('database_read_only', /^The database can be read but not written: the server is a standby$/),
  );
  expect(list.status).toBe(200);
  expect(promoted.status).toBe(200);
  expect(configured).toMatchObject(
    unready('database_read_only', /not written: the server makes all transactions read-only$/),
  );
}, 60_000);

test('a watched table that is gone, or has lost a column, makes it unready without naming any; one that is locked does not', async () => {
  const lapse = await Lapse.start(world.databaseUrl);
  const { pool } = world.host;
  const unsuitable = unready('watched_table_unsuitable', /^The watched table is missing, or lacks columns/);

  await pool.query('ALTER TABLE workflow_executions RENAME TO elsewhere');
  const missing = await ready(lapse);
  await pool.query('ALTER TABLE elsewhere RENAME TO workflow_executions');
  await pool.query('ALTER TABLE workflow_executions RENAME agent_id TO agent');
  const changed = await ready(lapse);
  await pool.query('ALTER TABLE workflow_executions RENAME agent TO agent_id');
  const client = await pool.connect();
  await client.query('BEGIN; LOCK TABLE workflow_executions');
  const locked = await ready(lapse);
  await client.query('ROLLBACK');
  client.release();

  expect(missing).toMatchObject(unsuitable);
  expect(changed).toMatchObject(unsuitable);
  expect(JSON.stringify([missing.body, changed.body])).not.toMatch(/workflow_executions|agent_id/);
  expect(locked.status).toBe(200);
});

test.each(['cut', 'silence'] as const)(
  'a database that is away (%s) makes it unready, and the answer says which one',
  async (how) => {
    const [database, locks] = [await DatabaseProxy.to(world.databaseUrl), await DatabaseProxy.to(world.databaseUrl)];
    const lapse = await Lapse.start(database.url, { LAPSE_LOCK_DATABASE_URL: locks.url });
    expect((await ready(lapse)).status).toBe(200);

    locks[how]();
    expect(await ready(lapse)).toMatchObject(
      unready('locks_unavailable', /^The database that keeps the locks does not answer/),
    );
    database[how]();
    const both = await ready(lapse);
    expect(both).toMatchObject(unready('not_ready', /^The database does not answer$/));
    expect(JSON.stringify(both.body)).not.toMatch(/127\.0\.0\.1|ECONN| at /);

    database.mend();
    locks.mend();
    if (how === 'cut') {
      await eventually(
        () => ready(lapse),
        ({ status }) => status === 200,
      );
    }
    await lapse.stop();
    await Promise.all([database.stop(), locks.stop()]);
  },
);
