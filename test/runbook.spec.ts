import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { advisoryLockKey } from '../src/locks/advisory-lock-key.js';
import { LateApprovalGuard } from '../src/timeouts/late-approval-guard.service.js';
import { ResurrectionsService } from '../src/timeouts/resurrections.service.js';
import { DatabaseProxy } from './support/database-proxy.js';
import { eventually } from './support/eventually.js';
import { ADMIN_KEY, Lapse } from './support/lapse.js';
import { sweepANight } from './support/night.js';
import { ADA, roleOfLapse } from './support/people.js';
import { Runbook } from './support/runbook.js';
import { useWorld } from './support/world.js';

/** The id that stands for a real one in the page. */
const ID = '01a2046b-b78f-79aa-b88d-dc1d2687064d';

const world = useWorld();
const cleanups: (() => Promise<unknown>)[] = [];
let runbook: Runbook;

beforeAll(async () => {
  runbook = await Runbook.read({ url: world.lapse.url, databaseUrl: world.databaseUrl, adminKey: ADMIN_KEY });
});
beforeEach(() => recordScheduledSweep());
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

const sql = (text: string, values?: unknown[]) => world.host.pool.query(text, values);
const databaseName = () => new URL(world.databaseUrl).pathname.slice(1);

/** Every warning of services in this process from now on. */
function captureWarnings(): string[] {
  const warnings: string[] = [];
  const warn = (line: string) => warnings.push(line);
  Logger.overrideLogger({ log: () => undefined, warn, error: warn });
  cleanups.push(async () => Logger.overrideLogger(false));
  return warnings;
}

const logged = (warnings: string[], text: RegExp) =>
  eventually(
    async () => warnings.find((line) => text.test(line)) ?? '',
    (line) => line !== '',
  );

function recordScheduledSweep(): Promise<unknown> {
  return sql(
    `INSERT INTO lapse.sweeps (trigger, status, dry_run, timeout_seconds, requested_by, lock_name, started_at, finished_at)
     VALUES ('schedule', 'succeeded', false, 1800, 'schedule', 'sweep', now(), now())`,
  );
}

/** Another program's session, such as psql or a migration. */
async function session(application_name: string): Promise<{ client: pg.Client; pid: string }> {
  const client = new pg.Client({ connectionString: world.databaseUrl, application_name });
  client.on('error', () => undefined);
  await client.connect();
  cleanups.push(() => client.end().catch(() => undefined));
  const { rows } = await client.query('SELECT pg_backend_pid()::text AS pid');
  return { client, pid: rows[0].pid };
}

test('before you begin: each way to reach the command line works', async () => {
  const section = 'Before you begin';
  const followedBy = 'lapse --version';
  for (const start of ['lapse() { kubectl', 'lapse() { docker', 'lapse() { node']) {
    expect((await runbook.run(section, start, { followedBy })).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  }
  const variables = await runbook.run(section, 'LAPSE=', {
    values: { 'http://127.0.0.1:3000': world.lapse.url },
    followedBy: 'curl -fsS "$LAPSE/health/live"',
  });
  expect(variables.stdout).toContain('ok');
});

test('nothing is swept: a right is lost, the doctor names it, and the schedule goes on', async () => {
  const role = await roleOfLapse(world.databaseUrl);
  cleanups.push(role.drop);
  const everySecond = { LAPSE_SWEEP_CRON: '* * * * * *' };
  const service = await Lapse.start(role.url, everySecond);
  const warnings = captureWarnings();
  const name = new URL(role.url).username;
  await sql(`REVOKE UPDATE ON workflow_executions FROM ${name}`);
  await world.host.suspendMany(3, 61);
  const values = { '"lapse"': `"${name}"`, 'schedule is "* * * * *"': 'schedule is "* * * * * *"' };
  const as = { values, environment: { ...everySecond, DATABASE_URL: role.url } };
  const section = 'Nothing is swept';

  runbook.expectLog(section, await logged(warnings, /^No scheduled sweep ended well/), values);
  await Promise.all([
    runbook.run('Start here', 'lapse status', { ...as, code: 1 }),
    runbook.run(section, 'lapse status', { ...as, code: 1 }),
    runbook.run(section, 'lapse doctor', { ...as, code: 1 }),
    runbook.run(section, 'lapse sweep --dry-run', as),
  ]);
  await runbook.run(section, 'psql', as);
  await eventually(
    () => world.host.count('failed'),
    (count) => count === 3,
  );
  // So that the lock is free, which the schedule takes every second.
  await service.stop();
  await Promise.all([runbook.run(section, 'lapse sweep --reason', as), runbook.run(section, 'lapse sweeps', as)]);
}, 60_000);

test('too much was swept: one command of the page takes back a night of 480 sweeps of one tenant', async () => {
  const { host } = world;
  await sweepANight(host, { sweeps: 480, perTenant: 2 });
  const others = () => sql(`SELECT * FROM workflow_executions WHERE tenant_id <> 'acme' ORDER BY id`);
  const { rows: before } = await others();
  const section = 'Too much was swept';

  const [list] = await Promise.all([
    runbook.run(section, 'lapse sweeps --tenant acme --from'),
    runbook.run(section, 'lapse sweeps --tenant acme --from'),
    runbook.run(section, 'lapse undo --from 2026-11-24T22:00:00Z --to 2026-11-25T06:00:00Z --tenant acme --dry-run'),
  ]);
  expect(list.stdout.match(/ schedule +│ 2 +│ succeeded /g)).toHaveLength(480);
  expect(await host.count('failed')).toBe(4 * 480);

  const { stderr } = await runbook.run(section, 'lapse undo');

  expect(stderr).toBe('');
  const { rows } = await sql(`SELECT DISTINCT tenant_id, status FROM workflow_executions ORDER BY 1`);
  expect(rows).toEqual([
    { tenant_id: 'acme', status: 'suspended' },
    { tenant_id: 'globex', status: 'failed' },
  ]);
  expect(await host.count('suspended')).toBe(2 * 480);
  expect((await others()).rows).toEqual(before);
  const [{ id }] = (await world.lapse.get('/v1/sweeps?kind=undo&limit=1')).body.items;
  await Promise.all([
    runbook.run(section, 'lapse sweeps --kind undo'),
    runbook.run(section, 'curl', { values: { [ID]: id } }),
  ]);
}, 60_000);

test('an execution cannot be timed out: its list says why, and it is tried again by itself', async () => {
  const { host, lapse } = world;
  await sql(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE 'executions of this agent are frozen'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON workflow_executions
      FOR EACH ROW WHEN (OLD.id = 'exec_p9s0') EXECUTE FUNCTION refuse()`);
  const drop = () => sql('DROP FUNCTION IF EXISTS refuse CASCADE');
  cleanups.push(drop);
  await host.suspend({ id: 'exec_p9s0', minutes: 31 });
  await host.suspend({ minutes: 31 });
  const warnings = captureWarnings();
  await lapse.post('/v1/sweeps');
  const section = 'An execution cannot be timed out';

  runbook.expectLog(section, await logged(warnings, /^Sweep /));
  await Promise.all([runbook.run(section, 'lapse failures'), runbook.run(section, 'lapse executions')]);
  await drop();
  await sql('UPDATE lapse.failures SET next_try_at = now()');
  await lapse.post('/v1/sweeps');
  await runbook.run(section, 'lapse failures');
}, 60_000);

test('late approvals: those that came through are listed, the guard refuses more, and one execution is reopened', async () => {
  const { host, lapse } = world;
  const approve = (id: string) => sql(`UPDATE workflow_executions SET status = 'running' WHERE id = $1`, [id]);
  await host.suspend({ id: 'exec_p9s0', minutes: 31 });
  await host.suspend({ id: 'exec_q7d2', minutes: 31 });
  await lapse.post('/v1/sweeps');
  await approve('exec_p9s0');
  const warnings = captureWarnings();
  await lapse.app.get(ResurrectionsService, { strict: false }).detect();
  const section = 'Late approvals';

  runbook.expectLog(section, warnings.join('\n'));
  await Promise.all([
    runbook.run(section, 'lapse timeouts --resurrected'),
    runbook.run(section, 'lapse guard status', { code: 1 }),
  ]);
  await runbook.run(section, 'lapse guard install');
  cleanups.push(() => lapse.app.get(LateApprovalGuard, { strict: false }).remove(ADA));
  const refused = await approve('exec_q7d2').catch((error: Error) => error);
  runbook.expectLog(section, (refused as Error).message);
  const [{ id }] = (await lapse.get('/v1/timeouts?executionId=exec_q7d2')).body.items;
  const as = { values: { [ID]: id } };
  await Promise.all([
    runbook.run(section, 'lapse timeouts --execution', as),
    runbook.run(section, 'lapse guard status'),
  ]);
  await runbook.run(section, 'curl', as);
  expect((await host.find('exec_q7d2')).status).toBe('suspended');
}, 60_000);

test('the lock is held: the list says by whom, and ending that session frees it', async () => {
  const { client, pid } = await session('psql');
  const key = advisoryLockKey({ application: 'lapse', database: databaseName(), schema: 'lapse', name: 'sweep' });
  await client.query('SELECT pg_advisory_lock($1::bigint)', [key]);
  const section = 'The lock is held';
  const as = { values: { 4711: pid } };

  await Promise.all([runbook.run(section, 'lapse locks', as), runbook.run(section, 'lapse sweeps', as)]);
  await runbook.run(section, 'psql', as);
  await runbook.run(section, 'lapse locks', as);
}, 60_000);

test('the database failed over: readiness and doctor say whether it is away or read-only, and the service goes on by itself', async () => {
  const proxy = await DatabaseProxy.to(world.databaseUrl);
  cleanups.push(() => proxy.stop());
  const service = await Lapse.start(proxy.url);
  cleanups.push(() => service.stop());
  const reset = () => sql(`ALTER DATABASE ${databaseName()} RESET default_transaction_read_only`);
  cleanups.push(reset);
  const values = { '"app"': `"${databaseName()}"`, '"lapse"': `"${new URL(world.databaseUrl).username}"` };
  const as = { values: { ...values, $LAPSE: service.url }, environment: { DATABASE_URL: proxy.url } };
  const section = 'The database failed over';

  proxy.cut();
  await Promise.all([runbook.run(section, 'curl', as), runbook.run(section, 'lapse doctor', { ...as, code: 1 })]);
  await sql(`ALTER DATABASE ${databaseName()} SET default_transaction_read_only = on`);
  proxy.mend();
  await Promise.all([runbook.run(section, 'curl', as), runbook.run(section, 'lapse doctor', { ...as, code: 1 })]);
  await runbook.run(section, 'psql', as);
  await eventually(
    async () => (await service.post('/v1/sweeps')).status,
    (status) => status === 201 || status === 200,
  );
  await Promise.all([runbook.run(section, 'curl', as), runbook.run(section, 'lapse sweeps', as)]);
}, 60_000);

test('the host is slow: a lock on its table, a missing index and a large sweep are found and ended', async () => {
  const { host, lapse } = world;
  const section = 'The host is slow';
  const { client, pid } = await session('drizzle-kit');
  await client.query('BEGIN; LOCK TABLE workflow_executions IN ACCESS EXCLUSIVE MODE');
  const locked = { values: { 4711: pid } };
  await runbook.run(section, 'lapse status', { ...locked, code: 1 });
  await runbook.run(section, 'psql "$OWNER_URL" -c \'SELECT', locked);

  await sql('DROP INDEX workflow_executions_suspended_by_tenant');
  await host.suspendMany(20_000, 31);
  await host.slowDown(0.002);
  cleanups.push(() => host.speedUp());
  const { body } = await lapse.post('/v1/sweeps?wait=0');
  const as = { values: { [ID]: body.id } };
  await Promise.all([runbook.run(section, 'lapse doctor'), runbook.run(section, 'lapse sweeps --status running', as)]);
  await runbook.run(section, 'curl', as);
  await eventually(
    async () => (await lapse.get(`/v1/sweeps/${body.id}`)).body.status,
    (status) => status === 'cancelled',
  );
  await Promise.all([
    runbook.run(section, 'psql "$OWNER_URL" -c "CREATE INDEX'),
    runbook.run(section, 'lapse sweeps --status cancelled', as),
  ]);
  const index = await sql(
    `SELECT indisvalid FROM pg_index WHERE indexrelid = 'workflow_executions_suspended_by_tenant'::regclass`,
  );
  expect(index.rows).toEqual([{ indisvalid: true }]);
}, 60_000);

test('every command, log line and output of the page was run or compared', () => {
  expect(runbook.unused()).toEqual([]);
});
