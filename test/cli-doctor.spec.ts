import { afterEach, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { advisoryLockKey } from '../src/locks/advisory-lock-key.js';
import { Command } from './support/command-line.js';
import { createDatabase, dropDatabase } from './support/databases.js';
import { Examination } from './support/doctor.js';
import { useDatabase } from './support/world.js';

const world = useDatabase();
const cleanups: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  await world.host.clear();
  await recordScheduledSweep('0 seconds');
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

function doctor(environment: Record<string, string> = {}): Promise<Examination> {
  return Examination.in({ DATABASE_URL: world.databaseUrl, ...environment });
}

function sql(text: string): Promise<unknown> {
  return world.host.pool.query(text);
}

function databaseName(): string {
  return new URL(world.databaseUrl).pathname.slice(1);
}

/** As a service does that sweeps on schedule. */
function recordScheduledSweep(ago: string, status = 'succeeded', error = ''): Promise<unknown> {
  return world.host.pool.query(
    `INSERT INTO lapse.sweeps (trigger, status, error, dry_run, timeout_seconds, requested_by, lock_name, started_at, finished_at)
     VALUES ('schedule', $2, nullif($3, ''), false, 1800, 'schedule', 'sweep', now() - $1::interval, now() - $1::interval)`,
    [ago, status, error],
  );
}

const ALL_OK = Object.fromEntries(
  'connection,watched table,version,writable,migrations,indexes,guard,privileges,conversations,overdue,clock,locks,schedule,address'
    .split(',')
    .map((check) => [check, 'ok']),
);

test('where all is well, each check is a line with ok, and the code is 0', async () => {
  const { code, stdout, stderr } = await Command.run(['doctor'], { DATABASE_URL: world.databaseUrl });

  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.match(/^\w+/gm)).toEqual(Object.keys(ALL_OK).map(() => 'ok'));
  expect(stdout).toMatch(
    /the last scheduled sweep that ended well did so at \d{4}-.*Z, by the record in "lapse"\.sweeps; .*by the environment of this command/,
  );
  expect(stdout).toMatch(/updated_at timestamp, .*rows without a zone are read as UTC\), not partitioned/);
  const { username, password } = new URL(world.databaseUrl);
  expect(stdout).toContain(`as role "${username}"`);
  expect(password === '' || !stdout.includes(password)).toBe(true);
});

test('what is only slow, switched off, overdue or out of step is a warning with its remedy, and the code is 0', async () => {
  await world.host.suspend({ minutes: 61 });
  await world.host.suspend({ minutes: 59 });
  await sql('DROP INDEX workflow_executions_suspended_by_tenant');
  cleanups.push(() =>
    sql(`CREATE INDEX workflow_executions_suspended_by_tenant
           ON workflow_executions (tenant_id, updated_at, project_id, id) WHERE status = 'suspended'`),
  );

  const wrongClock = encodeURIComponent('const trueNow = Date.now; Date.now = () => trueNow() + 90_000');
  const NODE_OPTIONS = `--import data:text/javascript,${wrongClock}`;

  const environment = { LAPSE_SWEEP_CRON: 'off', LAPSE_SCHEMA: 'elsewhere', NODE_OPTIONS };
  const ended = await Command.run(['doctor', '--json'], { DATABASE_URL: world.databaseUrl, ...environment });
  const examined = Examination.ofOutput(ended.stdout);

  expect([ended.code, examined.code]).toEqual([0, 0]);
  const warned = { indexes: 'warn', overdue: 'warn', schedule: 'warn', migrations: 'warn', clock: 'warn' };
  expect(examined.verdicts).toEqual({ ...ALL_OK, ...warned });
  expect(examined.of('indexes')?.remedy).toContain(
    'CREATE INDEX CONCURRENTLY workflow_executions_suspended_by_tenant ON public.workflow_executions ' +
      `(tenant_id, updated_at, project_id, id) WHERE status = 'suspended';`,
  );
  expect(examined.of('overdue')?.seen).toMatch(/^1 suspended for 1h or longer/);
  expect(examined.of('clock')?.seen).toMatch(/differ by (89|90)\d{3} ms$/);
  expect(examined.of('clock')?.remedy).toContain('NTP');
  expect(examined.of('schedule')?.remedy).toContain('lapse sweep');
  expect(examined.of('migrations')?.remedy).toContain('lapse migrate');
});

test('the schedule is judged by the record of sweeps, and its remedy by who holds the lock', async () => {
  await world.host.clear();
  const unproven = (await doctor()).of('schedule');
  await recordScheduledSweep('1 hour');
  await recordScheduledSweep('10 seconds', 'failed', 'permission denied for table workflow_executions');
  const failed = await doctor();
  const key = advisoryLockKey({ application: 'lapse', database: databaseName(), schema: 'lapse', name: 'sweep' });
  const client = await world.host.pool.connect();
  await client.query(`SET application_name = 'psql of somebody'`);
  const { rows } = await client.query('SELECT pg_advisory_lock($1), pg_backend_pid() AS pid', [key]);
  const held = (await doctor()).of('schedule');
  client.release(true);

  expect(unproven).toMatchObject({ verdict: 'warn', remedy: expect.stringContaining('start the service') });
  expect(failed.code).toBe(1);
  expect(failed.of('schedule')).toMatchObject({
    verdict: 'fail',
    seen: expect.stringMatching(
      /the last one ended as failed at .*permission denied for table.*; nobody holds the lock "sweep"/,
    ),
    remedy: expect.stringContaining('remove the cause of the failure'),
  });
  expect(held).toMatchObject({
    verdict: 'fail',
    seen: expect.stringContaining(`held by "psql of somebody" (PostgreSQL process ${rows[0].pid}) since`),
    remedy: expect.stringContaining(`SELECT pg_terminate_backend(${rows[0].pid});`),
  });
}, 60_000);

test('a database that accepts no writes fails, with what makes it so and the statement that ends it', async () => {
  await sql(`ALTER DATABASE "${databaseName()}" SET default_transaction_read_only = on`);
  cleanups.push(() => sql(`ALTER DATABASE "${databaseName()}" RESET default_transaction_read_only`));

  const examined = await doctor();

  expect(examined.code).toBe(1);
  expect(examined.of('writable')).toMatchObject({
    verdict: 'fail',
    seen: expect.stringMatching(/^the database can't be written \(read-only default\): .* \(set for the database\)$/),
    remedy: expect.stringContaining(`ALTER DATABASE "${databaseName()}" RESET default_transaction_read_only;`),
  });
});

test('a missing table fails, is told with what to set, and nothing is created by looking', async () => {
  const DATABASE_URL = await createDatabase('nothing');
  cleanups.push(() => dropDatabase(DATABASE_URL));

  const [first, again] = [
    await doctor({ DATABASE_URL }),
    await doctor({ DATABASE_URL, LAPSE_CREATE_WATCHED_TABLES: 'true' }),
  ];

  expect(first.code).toBe(1);
  expect(first.of('watched table')).toMatchObject({
    verdict: 'fail',
    seen: 'there is no table "public".workflow_executions',
    remedy: expect.stringContaining('LAPSE_WATCHED_SCHEMA'),
  });
  expect(first.verdicts).toMatchObject({ migrations: 'warn', indexes: 'skip', privileges: 'skip', locks: 'ok' });
  expect(again.code).toBe(0);
  expect(again.verdicts).toMatchObject({ 'watched table': 'warn', migrations: 'warn' });
});

test('columns that Lapse cannot work on fail with their types, and conversations of another type are a warning', async () => {
  const DATABASE_URL = await createDatabase('nothing');
  cleanups.push(() => dropDatabase(DATABASE_URL));
  const host = new pg.Client({ connectionString: DATABASE_URL });
  await host.connect();
  await host.query(`
    CREATE TABLE conversations (tenant_id text, project_id text, id uuid, user_id integer);
    CREATE TABLE workflow_executions (
      tenant_id text NOT NULL, project_id text NOT NULL, id uuid NOT NULL, agent_id text, conversation_id text,
      request_id text, status text, metadata jsonb, created_at timestamp, updated_at timestamp)`);
  const wrong = await doctor({ DATABASE_URL });
  await host.query('ALTER TABLE workflow_executions ALTER id TYPE text');
  const odd = await doctor({ DATABASE_URL });
  await host.end();

  expect(wrong.code).toBe(1);
  expect(wrong.of('watched table')).toMatchObject({
    verdict: 'fail',
    seen: expect.stringContaining('id is uuid, and must be text or varchar'),
  });
  expect(wrong.of('conversations')).toMatchObject({
    verdict: 'warn',
    seen: expect.stringContaining('id is uuid, and must be text or varchar; user_id is integer'),
  });
  expect(odd.of('watched table')).toMatchObject({
    verdict: 'warn',
    seen: expect.stringMatching(/No primary key or unique index .+ updated_at may be NULL/),
  });
});

test('a table that is locked is a warning that names the holder', async () => {
  const migration = new pg.Client({ connectionString: world.databaseUrl, application_name: 'drizzle-kit' });
  await migration.connect();
  await migration.query('BEGIN; LOCK TABLE workflow_executions IN ACCESS EXCLUSIVE MODE');
  const examined = await doctor();
  await migration.end();
  expect(examined.verdicts).toEqual({ ...ALL_OK, indexes: 'warn', overdue: 'warn' });
  expect(examined.of('overdue')).toMatchObject({
    verdict: 'warn',
    seen: expect.stringMatching(/^The table of executions is locked: held by pid \d+ \(application "drizzle-kit"\)/),
  });
});

test('a role that lacks privileges is told which, with the statements that an owner must run', async () => {
  const role = `doctors_${Date.now()}`;
  await sql(`CREATE ROLE ${role} LOGIN PASSWORD 'hunter2'; GRANT SELECT ON workflow_executions TO ${role}`);
  cleanups.push(() => sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`));
  const url = new URL(world.databaseUrl);
  [url.username, url.password] = [role, 'hunter2'];

  const examined = await doctor({ DATABASE_URL: url.href, LAPSE_SCHEMA: 'theirs' });

  expect(examined.code).toBe(1);
  expect(examined.of('privileges')).toEqual({
    check: 'privileges',
    verdict: 'fail',
    seen: `role "${role}" lacks UPDATE on "public".workflow_executions`,
    remedy: `let the owner of the table run:\nGRANT UPDATE ON "public".workflow_executions TO "${role}";`,
  });
  expect(examined.of('conversations')).toMatchObject({
    seen: expect.stringMatching(/pending approvals, and executions by "userId", are answered with 503/),
    remedy: expect.stringContaining('GRANT SELECT ON "public".conversations'),
  });
  expect(examined.of('migrations')?.remedy).toContain(
    `CREATE SCHEMA IF NOT EXISTS "theirs"; GRANT USAGE, CREATE ON SCHEMA "theirs" TO "${role}";`,
  );
  expect(JSON.stringify(examined.findings)).not.toContain('hunter2');
});

test('a database that is away, or refuses, fails in words; what needs it is skipped, and the code is 1', async () => {
  const wrong = new URL(world.databaseUrl);
  wrong.pathname = '/no_such_database';
  const [away, refused, faulty] = await Promise.all([
    doctor({ DATABASE_URL: 'postgres://lapse:hunter2@127.0.0.1:1/app' }),
    doctor({ DATABASE_URL: wrong.href }),
    doctor({ LAPSE_APPROVAL_TIMEOUT: 'soon' }),
  ]);

  expect([away.code, refused.code, faulty.code]).toEqual([1, 1, 1]);
  expect(away.of('connection')?.seen).toMatch(/^127\.0\.0\.1:1: PostgreSQL can't be reached: connect ECONNREFUSED/);
  expect(refused.of('connection')?.seen).toMatch(/database "no_such_database" does not exist/);
  expect(away.verdicts).toMatchObject({ 'watched table': 'skip', clock: 'skip', locks: 'skip', schedule: 'skip' });
  expect(faulty.of('configuration')?.seen).toMatch(/LAPSE_APPROVAL_TIMEOUT must be a duration/);
  expect(JSON.stringify(away.findings)).not.toMatch(/hunter2|\n\s+at /);
});
