import { type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Command, type Ended } from './support/command-line.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();
const cleanups: (() => Promise<unknown>)[] = [];
beforeEach(() => recordScheduledSweep('0 seconds'));
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

/** On the database of this file, with a schedule that ticks every minute. */
function lapse(...args: string[]): Promise<Ended> {
  return Command.run(args, { DATABASE_URL: world.databaseUrl });
}

async function status(...args: string[]) {
  const { stdout, ...ended } = await lapse('status', '--json', ...args);
  return { ...ended, status: JSON.parse(stdout) };
}

function sql(text: string, values: unknown[] = []): Promise<unknown> {
  return world.host.pool.query(text, values);
}

/** As a service does that sweeps on schedule. */
async function recordScheduledSweep(ago: string): Promise<void> {
  await sql('TRUNCATE lapse.sweeps');
  await sql(
    `INSERT INTO lapse.sweeps (trigger, status, dry_run, timeout_seconds, requested_by, lock_name, started_at, finished_at)
     VALUES ('schedule', 'succeeded', false, 1800, 'schedule', 'sweep', now() - $1::interval, now() - $1::interval)`,
    [ago],
  );
}

/** Another replica, which keeps a lock. */
async function holder(name: string): Promise<void> {
  const other = await Lapse.start(world.databaseUrl);
  cleanups.push(() => other.stop());
  await holdLock(other, name);
}

const PARTS = ['schedule', 'backlog', 'lock', 'failures', 'guard', 'lateApprovals', 'sweeps'];

test('lapse status is all ok on a service that works, and each part says what it saw', async () => {
  await world.host.suspend({ id: 'young', minutes: 5 });

  const [seen, table] = await Promise.all([status(), lapse('status')]);

  expect([seen.code, seen.stderr]).toEqual([0, '']);
  expect(seen.status).toMatchObject({ verdict: 'ok', tenantId: null, asOf: expect.stringMatching(/Z$/) });
  expect(PARTS.map((part) => seen.status[part].verdict)).toEqual(PARTS.map(() => 'ok'));
  expect(seen.status.schedule.data).toMatchObject({ condition: 'working', last: { status: 'succeeded' } });
  expect(seen.status.backlog.data).toMatchObject({ suspended: 1, overdue: 0 });
  expect(seen.status.lock).toMatchObject({ seen: '"sweep" is free', data: null });
  expect(seen.status.sweeps.data).toEqual({ items: (await world.lapse.get('/v1/sweeps')).body.items });
  expect(table).toMatchObject({ code: 0, stderr: '' });
  expect(table.stdout).toMatch(/^All is well\.\n┌/);
  expect(table.stdout).toMatch(/│ ok +│ schedule +│ working: the last scheduled sweep that ended well did so at /);
  expect(table.stdout).toMatch(/│ ok +│ waiting +│ 1 suspended, 0 overdue; the oldest for 5m/);
  expect(table.stdout).toMatch(/│ ok +│ guard +│ not installed, which is a choice/);
  expect(table.stdout).toMatch(/│ Sweep +│ Started +│ Trigger +│ Timed out │ Status +│\n├.*\n│ \S{36} │/);
});

test('lapse status says what is wrong, who holds the lock and what to do, and ends with 1 as the doctor does', async () => {
  await world.host.suspend({ id: 'late', minutes: 95 });
  await world.host.suspend({ id: 'theirs', minutes: 95, tenantId: 'globex' });
  await sql(
    `INSERT INTO lapse.failures (tenant_id, project_id, execution_id, next_try_at, last_reason, last_sweep_id)
     VALUES ('acme', 'support', 'late', now() + interval '5 minutes', 'P0001: frozen', gen_random_uuid())`,
  );
  await sql(
    `INSERT INTO lapse.timeouts (sweep_id, tenant_id, project_id, execution_id, suspended_since, deadline, timed_out_at, resurrected_at, resurrected_status)
     VALUES (gen_random_uuid(), 'acme', 'support', 'back', now(), now(), now(), now(), 'running')`,
  );
  await recordScheduledSweep('10 minutes');
  await holder('sweep');

  const [seen, table, ofOther, doctor, off] = await Promise.all([
    status(),
    lapse('status'),
    status('--tenant', 'globex'),
    lapse('doctor', '--json'),
    Command.run(['status', '--json'], { DATABASE_URL: world.databaseUrl, LAPSE_SWEEP_CRON: 'off' }),
  ]);

  expect(seen.code).toBe(1);
  expect(seen.status.verdict).toBe('fail');
  expect(seen.status.schedule).toMatchObject({
    verdict: 'fail',
    seen: expect.stringMatching(/^stopped: .*the lock "sweep" is held by "lapse /),
    remedy: expect.stringMatching(/pg_terminate_backend/),
  });
  expect(seen.status.lock.data).toEqual((await world.lapse.get('/v1/locks')).body.items[0]);
  expect(seen.status.backlog).toMatchObject({ verdict: 'warn', data: { suspended: 2, overdue: 2 } });
  expect(seen.status.failures).toMatchObject({ verdict: 'warn', data: { count: 1, items: [{ executionId: 'late' }] } });
  expect(seen.status.lateApprovals).toMatchObject({
    verdict: 'warn',
    data: { count: 1, items: [{ executionId: 'back' }] },
  });
  expect(table.code).toBe(1);
  expect(table.stdout).toMatch(/^Something does not work; look at what says "FAIL"\.\n/);
  expect(table.stdout).toMatch(/\ndocs\/runbook\.md says what to do at each symptom\.\n$/);
  expect(JSON.parse(off.stdout).schedule).toMatchObject({
    verdict: 'warn',
    seen: expect.stringMatching(/^off by the environment of this command/),
    remedy: expect.stringMatching(/leave LAPSE_SWEEP_CRON out$/),
  });
  expect(Math.max(...table.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  expect(ofOther.status).toMatchObject({
    tenantId: 'globex',
    backlog: { data: { suspended: 1 } },
    failures: { data: { count: 0 } },
    lateApprovals: { data: { count: 0 } },
    sweeps: { data: { items: [] } },
  });
  expect(JSON.stringify(ofOther.status)).not.toMatch(/acme/);
  const judged = JSON.parse(doctor.stdout).findings.find(({ check }: { check: string }) => check === 'schedule');
  expect([doctor.code, judged.verdict]).toEqual([1, seen.status.schedule.verdict]);
});

test('lapse status shows the rest if the host has locked its table, and who has', async () => {
  const host = await world.host.pool.connect();
  await host.query('BEGIN; LOCK TABLE workflow_executions IN ACCESS EXCLUSIVE MODE');
  cleanups.push(async () => {
    await host.query('ROLLBACK');
    host.release();
  });

  const { code, status: seen } = await status();

  expect(code).toBe(1);
  expect(seen.backlog).toMatchObject({
    verdict: 'fail',
    seen: expect.stringMatching(/^can't be read: The table of executions is locked: held by pid \d+/),
    data: null,
  });
  expect(seen.schedule.verdict).toBe('ok');
});

test('lapse locks shows who holds what, as the API does, and says if nobody holds any', async () => {
  expect(await lapse('locks')).toEqual({ code: 0, stdout: 'No lock is held.\n', stderr: '' });
  await holder('日本'.repeat(60));

  const [table, document] = await Promise.all([lapse('locks'), lapse('locks', '--json')]);

  expect(table.stdout).toMatch(/│ 日本日本.*… +│ \d\d:\d\d:\d\d/);
  expect(table.stdout).toMatch(/│ 127\.0\.0\.1 │ \d+ +│/);
  expect(JSON.parse(document.stdout)).toEqual((await world.lapse.get('/v1/locks')).body);
});

/** Whoever reads its output closes it after the first look, as `head` does. */
async function watchUntilFirstLook(): Promise<unknown[]> {
  const env = { PATH: process.env.PATH, DATABASE_URL: world.databaseUrl };
  const options: SpawnOptions = { env, stdio: ['ignore', 'pipe', 'ignore'] };
  const child = spawn(process.execPath, ['dist/cli.js', 'status', '--watch'], options);
  cleanups.push(async () => child.kill('SIGKILL'));
  await once(child.stdout as Readable, 'data');
  child.stdout?.destroy();
  return once(child, 'exit');
}

test('--watch looks again, without a terminal too, and ends with 130 on Ctrl-C, and with 0 if nobody reads it any more', async () => {
  const environment = { DATABASE_URL: world.databaseUrl, TERM: 'xterm' };
  const commands = [['sweeps'], ['backlog', '--json'], ['status', '--json', '--tenant', 'acme']].map((args) =>
    Command.start([...args, '--watch'], environment),
  );
  const unread = watchUntilFirstLook();
  const terminal = Command.startInTerminal(['backlog', '--watch'], environment);
  const [table, backlog] = commands as [Command, Command];
  await eventually(
    async () => backlog.stdout,
    (output) => output.split('\n').length > 1,
    15_000,
  );
  await world.host.suspend({ minutes: 5 });
  await eventually(
    async () => backlog.stdout,
    (output) => /"suspended":1/.test(output),
    15_000,
  );
  await eventually(
    async () => table.stdout,
    (output) => output.split('Ctrl-C ends it').length > 2,
    15_000,
  );
  await eventually(
    async () => terminal.stdout,
    (output) => output.split('\u001b[2J').length > 2,
    15_000,
  );
  terminal.kill('SIGKILL');
  for (const command of commands) {
    command.kill('SIGINT');
  }

  for (const { code, stderr } of await Promise.all(commands.map((command) => command.ended()))) {
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' });
  }
  expect(table.stdout).toMatch(/^lapse sweeps at \d{4}-.*Z, every 5 s; Ctrl-C ends it\n┌/);
  expect(table.stdout).not.toContain('\u001b');
  const documents = backlog.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).suspended);
  expect(documents.slice(0, 2)).toEqual([0, 1]);

  expect(await unread).toEqual([0, null]);
}, 40_000);
