import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { AdvisoryLockService } from '../src/locks/advisory-lock.service.js';
import { advisoryLockKey } from '../src/locks/advisory-lock-key.js';
import { RepeatedWarning } from '../src/sweeps/repeated-warning.js';
import { ScheduleWatch } from '../src/sweeps/schedule-watch.service.js';
import { DatabaseProxy } from './support/database-proxy.js';
import { eventually } from './support/eventually.js';
import { Lapse } from './support/lapse.js';
import { useDatabase } from './support/world.js';

const EVERY_SECOND = { LAPSE_SWEEP_CRON: '* * * * * *' };

const world = useDatabase();
const sessions: pg.Client[] = [];

beforeEach(() => world.host.clear());
afterEach(async () => {
  await Lapse.stopAll();
  await Promise.all(sessions.splice(0).map((session) => session.end()));
});

/** Everything that the services in this process log from now on. */
function captureLog(): { warnings: string[]; information: string[] } {
  const lines = { warnings: [] as string[], information: [] as string[] };
  Logger.overrideLogger({
    log: (line: string) => lines.information.push(line),
    warn: (line: string) => lines.warnings.push(line),
    error: (line: string) => lines.warnings.push(line),
  });
  return lines;
}

/** Takes the schedule's lock as a person at psql could, for the session. */
async function holdScheduleLock(): Promise<{ pid: number; release(): Promise<void> }> {
  const session = new pg.Client({ connectionString: world.databaseUrl, application_name: 'psql of somebody' });
  await session.connect();
  sessions.push(session);
  const { rows } = await session.query('SELECT current_database() AS database, pg_backend_pid() AS pid');
  const [{ database, pid }] = rows;
  const key = advisoryLockKey({ application: 'lapse', database, schema: 'lapse', name: 'sweep' });
  await session.query('SELECT pg_advisory_lock($1::bigint)', [key]);
  return {
    pid,
    release: async () => {
      await session.query('SELECT pg_advisory_unlock_all()');
    },
  };
}

async function scheduledSweeps(): Promise<number> {
  const { rows } = await world.host.pool.query(
    `SELECT count(*)::int AS count FROM lapse.sweeps WHERE trigger = 'schedule' AND status = 'succeeded'`,
  );
  return rows[0].count;
}

async function someScheduledSweeps(): Promise<void> {
  const before = await scheduledSweeps();
  await eventually(scheduledSweeps, (count) => count >= before + 2);
}

/** How often a scheduled sweep was tried on this replica. */
function attemptsOf(replica: Lapse): number {
  const { counts } = replica.app.get(AdvisoryLockService, { strict: false });
  return counts.get('SweepRunner.run')?.attempts ?? 0;
}

test('if another session holds the lock, every replica warns once with holder, process and time, and says when it is over', async () => {
  const replicas = [
    await Lapse.start(world.databaseUrl, EVERY_SECOND),
    await Lapse.start(world.databaseUrl, EVERY_SECOND),
  ];
  const log = captureLog();
  await someScheduledSweeps();
  expect(log.warnings).toEqual([]);

  const { pid, release } = await holdScheduleLock();
  await eventually(
    async () => log.warnings,
    ({ length }) => length >= replicas.length,
  );
  const attempts = replicas.map(attemptsOf);
  await eventually(
    async () => replicas.map(attemptsOf),
    (now) => now.every((count, at) => count >= (attempts[at] ?? 0) + 3),
  );

  expect(log.warnings).toHaveLength(replicas.length);
  for (const warning of log.warnings) {
    expect(warning).toMatch(/^No scheduled sweep ended well at the last two ticks: /);
    expect(warning).toMatch(
      /ended well did so at \d{4}-.*Z, by the record in "lapse"\.sweeps; the schedule is "\* \* \* \* \* \*" in UTC/,
    );
    expect(warning).toMatch(
      new RegExp(`the lock "sweep" is held by "psql of somebody" \\(PostgreSQL process ${pid}\\) since \\d{4}-.*Z`),
    );
    expect(warning).toContain(`SELECT pg_terminate_backend(${pid});`);
  }
  expect((await (replicas[0] as Lapse).get('/v1/locks')).body.items).toEqual([
    expect.objectContaining({ name: 'sweep', applicationName: 'psql of somebody', pid, since: expect.any(String) }),
  ]);

  await release();
  await eventually(
    async () => log.information.filter((line) => line.startsWith('Scheduled sweeps end well again')),
    ({ length }) => length === replicas.length,
  );
}, 60_000);

test('a tick that fails warns with what fails, once; the first one that works says so', async () => {
  const replica = await Lapse.start(world.databaseUrl, EVERY_SECOND);
  const log = captureLog();
  await someScheduledSweeps();

  await world.host.pool.query('ALTER TABLE lapse.sweeps RENAME TO away');
  const before = attemptsOf(replica);
  await eventually(
    async () => attemptsOf(replica),
    (attempts) => attempts >= before + 5,
  );
  await world.host.pool.query('ALTER TABLE lapse.away RENAME TO sweeps');
  const [line] = await eventually(
    async () => log.information.filter((text) => text.startsWith('Scheduled sweeps end well again')),
    ({ length }) => length > 0,
  );

  expect(log.warnings.filter((text) => !text.startsWith('Housekeeping'))).toEqual([
    'Scheduled sweep failed: relation "lapse.sweeps" does not exist; retrying at the next tick',
  ]);
  expect(line).toMatch(/after \d+ failures$/);
}, 60_000);

test('a database that is away costs a few lines, not one for each tick, and one line when it is back', async () => {
  const proxy = await DatabaseProxy.to(world.databaseUrl);
  const replica = await Lapse.start(proxy.url, EVERY_SECOND);
  const log = captureLog();
  await someScheduledSweeps();

  proxy.cut();
  const before = attemptsOf(replica);
  await eventually(
    async () => attemptsOf(replica),
    (attempts) => attempts >= before + 6,
    30_000,
  );
  const away = log.warnings.filter((line) => /^Scheduled sweep failed|can't be checked/.test(line));
  proxy.mend();
  await someScheduledSweeps();
  await replica.stop();
  await proxy.stop();

  expect(away[0]).toMatch(/^Scheduled sweep failed: .*; retrying at the next tick$/);
  expect(away.length).toBeLessThan(5);
  expect(log.information.filter((line) => line.startsWith('Scheduled sweeps end well again'))).toHaveLength(1);
}, 60_000);

test('a sweep that the table refuses is a failure of the schedule: its reason is logged once', async () => {
  const { host } = world;
  await host.suspend({ minutes: 31 });
  await host.pool.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON workflow_executions EXECUTE FUNCTION refuse()`);
  const replica = await Lapse.start(world.databaseUrl, EVERY_SECOND);
  const log = captureLog();
  await eventually(
    async () => log.warnings.filter((line) => line.startsWith('No scheduled sweep ended well')),
    ({ length }) => length > 0,
  );
  const before = attemptsOf(replica);
  await eventually(
    async () => attemptsOf(replica),
    (attempts) => attempts >= before + 5,
  );
  const state = await replica.app.get(ScheduleWatch, { strict: false }).state('* * * * *');
  await host.pool.query('DROP FUNCTION refuse CASCADE');
  await someScheduledSweeps();

  expect(state.condition).toBe('stopped');
  expect(log.warnings.filter((line) => line.startsWith('Scheduled sweep failed: not today'))).toHaveLength(1);
  expect(log.warnings.filter((line) => line.startsWith('No scheduled sweep ended well'))).toHaveLength(1);
  expect(log.warnings.filter((line) => line.startsWith('Sweep '))).toEqual([]);
}, 60_000);

test('a sweep of the platform that makes progress is not silence, however long it runs; one without progress is', async () => {
  const watch = (await Lapse.start(world.databaseUrl)).app.get(ScheduleWatch, { strict: false });
  const { pool } = world.host;
  const conditionNow = async () => (await watch.state('* * * * *')).condition;
  expect(await conditionNow()).toBe('unproven');
  const early = await holdScheduleLock();
  expect(await conditionNow()).toBe('stopped');
  await early.release();
  await pool.query(
    `INSERT INTO lapse.sweeps (trigger, status, dry_run, timeout_seconds, requested_by, lock_name, started_at, finished_at)
     VALUES ('schedule', 'succeeded', false, 1800, 'schedule', 'sweep', now() - interval '1 hour', now() - interval '1 hour'),
            ('api', 'running', false, 1800, 'somebody', 'sweep', now() - interval '1 hour', NULL)`,
  );
  expect(await conditionNow()).toBe('stopped');
  await pool.query(
    `INSERT INTO lapse.timeouts (sweep_id, tenant_id, project_id, execution_id, suspended_since, deadline, timed_out_at)
     SELECT id, 'acme', 'support', '1', now(), now(), now() FROM lapse.sweeps WHERE status = 'running'`,
  );
  // Without its lock the record was left behind by a process that died.
  expect(await conditionNow()).toBe('stopped');

  const { release } = await holdScheduleLock();
  expect(await conditionNow()).toBe('working');
  await release();
});

test('a warning that repeats is logged at once, and again every ten minutes; a new cause is logged at once', () => {
  const warning = new RepeatedWarning();
  const minutes = (count: number) => count * 60_000;

  expect(warning.occurred('away', minutes(0))).toBe(true);
  expect(warning.occurred('away', minutes(1))).toBe(false);
  expect(warning.occurred('permission lost', minutes(2))).toBe(true);
  expect(warning.occurred('away', minutes(3))).toBe(false);
  expect(warning.occurred('away', minutes(11.9))).toBe(false);
  expect(warning.occurred('away', minutes(12))).toBe(true);
  expect(warning.count).toBe(6);
  warning.end();
  expect(warning.occurred('away', minutes(13))).toBe(true);

  const texts = Array.from({ length: 60 }, (_, n) => warning.occurred(`attempt ${n}`, minutes(13 + n / 10)));
  expect(texts.filter(Boolean).length).toBeLessThan(7);
});
