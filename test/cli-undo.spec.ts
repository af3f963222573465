import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { LateApprovalGuard } from '../src/timeouts/late-approval-guard.service.js';
import { auditLogOf, Command, type Ended, ME } from './support/command-line.js';
import { eventually } from './support/eventually.js';
import { NIGHT, sweepANight } from './support/night.js';
import { ADA, roleOfLapse } from './support/people.js';
import { useWorld } from './support/world.js';

const world = useWorld();
beforeEach(() => world.host.pool.query('TRUNCATE lapse.audit_log'));
afterEach(() => world.host.speedUp());

function lapse(...args: string[]): Promise<Ended> {
  return Command.run(args, { DATABASE_URL: world.databaseUrl });
}

async function sweep(): Promise<string> {
  return (await world.lapse.post('/v1/sweeps?wait=60')).body.id;
}

test('undo takes back what a sweep has timed out, tells what became of it, and is on record', async () => {
  const { host } = world;
  await host.suspendMany(5, 31);
  const sweepId = await sweep();
  await host.pool.query(`UPDATE workflow_executions SET status = 'running' WHERE id = '3'`);

  const { code, stdout, stderr } = await lapse('undo', sweepId, '--reason', 'too short', '--json');

  expect([code, stderr]).toEqual([0, '']);
  expect(JSON.parse(stdout)).toMatchObject({
    kind: 'undo',
    undoes: sweepId,
    trigger: 'cli',
    requestedBy: ME,
    undone: { reopened: 4, changedSince: 1, gone: 0, alreadyReopened: 0 },
  });
  expect(await host.count('suspended')).toBe(4);
  expect(await auditLogOf(host)).toContainEqual(
    expect.objectContaining({ who: ME, action: 'sweep.undo', outcome: 'done', target: JSON.parse(stdout).id }),
  );
  const again = await lapse('undo', sweepId, '--reason', 'once more');
  expect(again.code).toBe(0);
  expect(again.stdout).toMatch(/Reopened before\s+│ 4/);
}, 30_000);

test('a mistaken night of 480 sweeps of one tenant is taken back by one command, and other tenants stay as they are', async () => {
  const { host } = world;
  await sweepANight(host, { sweeps: 480, perTenant: 2 });
  const night = ['--from', NIGHT.from, '--to', NIGHT.to, '--tenant', 'acme'];
  await host.suspend({ id: 'waiting', minutes: 5 });
  const { rows: before } = await host.pool.query(
    `SELECT * FROM workflow_executions WHERE tenant_id <> 'acme' ORDER BY id`,
  );

  const preview = await lapse('undo', ...night, '--dry-run');
  expect(preview).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/Would reopen\s+│ 960 /) });
  expect(await host.count('failed')).toBe(4 * 480);
  const { code, stdout, stderr } = await lapse('undo', ...night, '--reason', 'The timeout was set to 3 minutes');

  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/Scope\s+│ tenant acme /);
  expect(stdout).toMatch(/Reopened\s+│ 960 /);
  const { rows } = await host.pool.query(
    `SELECT status, metadata ->> 'failureReason' AS reason, count(*)::int AS n
       FROM workflow_executions WHERE tenant_id = 'acme' GROUP BY 1, 2`,
  );
  expect(rows).toEqual([{ status: 'suspended', reason: null, n: 961 }]);
  const { rows: after } = await host.pool.query(
    `SELECT * FROM workflow_executions WHERE tenant_id <> 'acme' ORDER BY id`,
  );
  expect(after).toEqual(before);
}, 60_000);

test('an undo of a period that is killed in the middle is continued by the same command', async () => {
  const { host } = world;
  await sweepANight(host, { sweeps: 30, perTenant: 100 });
  await host.slowDown(0.001);
  const args = ['undo', '--from', NIGHT.from, '--to', NIGHT.to, '--tenant', 'acme', '--reason', 'x', '--json'];
  const killed = Command.start(args, { DATABASE_URL: world.databaseUrl });
  const reopened = await eventually(
    () => host.count('suspended'),
    (count) => count > 0,
    20_000,
  );
  killed.kill('SIGKILL');
  await killed.ended();
  await host.speedUp();

  const undo = JSON.parse((await lapse(...args)).stdout);

  expect(undo).toMatchObject({ status: 'succeeded', expected: 3_000, counts: { total: 3_000, failed: 0 } });
  expect(undo.undone.alreadyReopened).toBeGreaterThanOrEqual(reopened);
  expect(undo.undone.reopened + undo.undone.alreadyReopened).toBe(3_000);
  const { rows } = await host.pool.query('SELECT tenant_id, status FROM workflow_executions GROUP BY 1, 2 ORDER BY 1');
  expect(rows).toEqual([
    { tenant_id: 'acme', status: 'suspended' },
    { tenant_id: 'globex', status: 'failed' },
  ]);
  const undos = (await world.lapse.get('/v1/sweeps?kind=undo')).body.items;
  expect(undos.map(({ status }: { status: string }) => status)).toEqual(['succeeded', 'interrupted']);
}, 60_000);

test('undo warns on standard error if the configured timeout is no longer than the one used then', async () => {
  await sweepANight(world.host, { sweeps: 1, perTenant: 1 });
  const args = ['undo', '--from', NIGHT.from, '--to', NIGHT.to, '--dry-run'];
  const { code, stderr } = await Command.run(args, { DATABASE_URL: world.databaseUrl, LAPSE_APPROVAL_TIMEOUT: '3m' });
  expect([code, stderr]).toEqual([0, expect.stringMatching(/^warning: The configured timeout \(3m\) is no longer/)]);
}, 30_000);

test('undo of what can not be undone ends with 1, of what is not there too, and of nonsense with 2', async () => {
  await world.host.suspendMany(1, 31);
  const dryRun = (await world.lapse.post('/v1/sweeps', { dryRun: true })).body.id;
  const [refused, missing, nonsense, silent, boundless] = await Promise.all([
    lapse('undo', dryRun, '--reason', 'x'),
    lapse('undo', '01890000-0000-7000-8000-000000000000', '--reason', 'x'),
    lapse('undo', 'nonsense', '--reason', 'x'),
    lapse('undo', dryRun),
    lapse('undo', '--tenant', 'acme', '--reason', 'x'),
  ]);
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('it was a dry run')]);
  expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('There is no such sweep')]);
  expect([nonsense.code, nonsense.stderr]).toEqual([2, expect.stringContaining('<sweepId> must be the id of a sweep')]);
  expect([silent.code, silent.stderr]).toEqual([2, expect.stringContaining('--reason is required')]);
  expect([boundless.code, boundless.stderr]).toEqual([
    2,
    expect.stringMatching(/--from is required\n.*--to is required/),
  ]);
}, 30_000);

test('SIGTERM in mid-undo ends it after its batch, and the next one goes on', async () => {
  const { host } = world;
  await host.suspendMany(3_000, 31);
  const sweepId = await sweep();
  await host.slowDown(0.001);
  const undo = Command.start(['undo', sweepId, '--reason', 'x', '--json'], { DATABASE_URL: world.databaseUrl });
  await eventually(
    () => host.count('suspended'),
    (count) => count > 0,
    20_000,
  );
  undo.kill('SIGTERM');
  const { code, stdout } = await undo.ended();
  await host.speedUp();

  expect(code).toBe(143);
  const interrupted = JSON.parse(stdout);
  expect(interrupted).toMatchObject({ status: 'interrupted' });
  const finished = JSON.parse((await lapse('undo', sweepId, '--reason', 'x', '--json')).stdout);
  expect(interrupted.undone.reopened + finished.undone.reopened).toBe(3_000);
  expect(await host.count('suspended')).toBe(3_000);
}, 60_000);

test('guard is installed, shown, looked at by the doctor, and removed', async () => {
  const { host } = world;
  expect(await lapse('guard', 'status')).toMatchObject({ code: 1, stdout: expect.stringContaining('not installed') });
  expect(await lapse('guard', 'install', '--json')).toMatchObject({
    code: 0,
    stdout: '{\n  "state": "installed"\n}\n',
  });
  await host.suspendMany(1, 31);
  await sweep();
  await expect(host.pool.query(`UPDATE workflow_executions SET status = 'running'`)).rejects.toMatchObject({
    code: 'LP001',
  });
  const [status, doctor] = await Promise.all([lapse('guard', 'status'), lapse('doctor')]);
  expect(status).toMatchObject({ code: 0, stdout: expect.stringMatching(/refused \(tried, and rolled back\)$/m) });
  expect(doctor.stdout).toMatch(/ok\s+guard\s+a late approval is refused: tried, and rolled back/);
  expect((await lapse('guard', 'remove')).code).toBe(0);
  await host.pool.query(`UPDATE workflow_executions SET status = 'running'`);
  const actions = (await auditLogOf(host)).map(({ action }) => action);
  expect(actions).toEqual(expect.arrayContaining(['guard.install', 'guard.remove']));
}, 60_000);

test('a guard that does not hold ends status and doctor with 1, and both name the cause', async () => {
  const { pool } = world.host;
  const guard = world.lapse.app.get(LateApprovalGuard, { strict: false });
  await guard.install(ADA);
  await pool.query('CREATE TABLE public.child () INHERITS (workflow_executions)');
  try {
    const [status, doctor] = await Promise.all([lapse('guard', 'status', '--json'), lapse('doctor')]);
    expect(status.code).toBe(1);
    expect(JSON.parse(status.stdout)).toEqual({
      state: 'ineffective',
      tried: false,
      reason: expect.stringMatching(/^table public\.child inherits/),
      exemptRoles: [],
    });
    expect(doctor.code).toBe(1);
    expect(doctor.stdout).toMatch(/FAIL\s+guard\s+it is installed, and does not hold: table public\.child inherits/);
  } finally {
    await pool.query('DROP TABLE public.child');
    await guard.remove(ADA);
  }
}, 30_000);

test('a role that may not install the guard is told which right it lacks, and given the SQL that --print prints', async () => {
  const { pool } = world.host;
  const role = await roleOfLapse(world.databaseUrl);
  const nowhere = { DATABASE_URL: 'postgres://127.0.0.1:1/none' };
  const guard = world.lapse.app.get(LateApprovalGuard, { strict: false });
  try {
    const [refused, install, remove] = await Promise.all([
      Command.run(['guard', 'install'], { DATABASE_URL: role.url }),
      Command.run(['guard', 'install', '--print'], nowhere),
      Command.run(['guard', 'remove', '--print'], nowhere),
    ]);
    expect([refused.code, install.code, remove.code]).toEqual([1, 0, 0]);
    expect(refused.stderr).toMatch(/it lacks membership of role ".+", which owns table "public"\.workflow_executions/);
    expect(refused.stdout.trim()).toBe(install.stdout.trim());
    const sqlOf = ({ stdout }: { stdout: string }) => stdout.replace(/^\\set ON_ERROR_STOP on\n/, '');
    await pool.query(sqlOf(refused));
    expect(await guard.status()).toBe('installed');
    const refusedToo = await Command.run(['guard', 'remove'], { DATABASE_URL: role.url });
    expect(refusedToo.stderr).toMatch(/may not remove the guard: it lacks membership of role ".+", which owns table/);
    await pool.query(sqlOf(remove));
    expect(await guard.status()).toBe('missing');
  } finally {
    await role.drop();
  }
}, 30_000);
