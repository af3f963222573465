import { spawnSync } from 'node:child_process';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { advisoryLockKey } from '../src/locks/advisory-lock-key.js';
import { auditLogOf, Command, type Ended, ME } from './support/command-line.js';
import { eventually } from './support/eventually.js';
import { useWorld } from './support/world.js';

const world = useWorld();
const commands: Command[] = [];

/** Begun first and looked at last: it waits some seconds for its database. */
let away: Promise<Ended>;

beforeAll(() => {
  away = Command.run(['migrate'], { DATABASE_URL: 'postgres://lapse:hunter2@127.0.0.1:1/none' });
});
beforeEach(() => world.host.pool.query('TRUNCATE lapse.audit_log'));
afterEach(async () => {
  for (const command of commands.splice(0)) {
    command.kill('SIGKILL');
    await command.ended();
  }
  await world.host.speedUp();
});

/** On the database of this file. */
function lapse(...args: string[]): Promise<Ended> {
  return Command.run(args, { DATABASE_URL: world.databaseUrl });
}

describe('lapse', () => {
  test('ends with 2 on wrong usage or input, names every fault and what is allowed, and touches nothing', async () => {
    const nowhere = { DATABASE_URL: 'postgres://127.0.0.1:1/none' };
    const wrong: [string[], RegExp][] = [
      [
        ['sweep', '--tenant', '', '--timeout', '5x', '--limit', '0', '--reason', ''],
        /^error: --tenant .*\nerror: --timeout must be a duration .* 2h, not "5x"\nerror: --limit must be a whole number from 1 to 2147483647, not 0\nerror: --reason /,
      ],
      [['sweep', '--teant', 'acme'], /unknown option '--teant'\n\(Did you mean --tenant\?\)/],
      [['swep'], /unknown command 'swep'\n\(Did you mean sweep\?\)/],
      [[], /^Usage: lapse /],
      [
        ['keys', 'create', '--role', 'boss', '--expires', 'soon'],
        /^error: --name is required\nerror: --role must be one of viewer, .*\nerror: --expires must be an RFC 3339 time /,
      ],
      [['keys', 'revoke', '1'], /^error: <keyId> must be the id of an API key, a UUID$/m],
    ];
    const ends = await Promise.all(wrong.map(([args]) => Command.run(args, nowhere)));

    expect(ends.map(({ code, stdout }) => ({ code, stdout }))).toEqual(wrong.map(() => ({ code: 2, stdout: '' })));
    for (const [index, [, words]] of wrong.entries()) {
      expect(ends[index]?.stderr).toMatch(words);
    }
  });

  test('ends with 0 on --help of every command, which tells the exit codes', async () => {
    const helps = [['--help'], ['migrate', '-h'], ['sweep', '-h'], ['keys', 'create', '-h'], ['doctor', '--help']];
    for (const { code, stdout } of await Promise.all(helps.map((args) => lapse(...args)))) {
      expect(code).toBe(0);
      expect(stdout).toMatch(/Exit codes:\n\s+0 /);
    }
  });
});

describe('lapse sweep', () => {
  test('times out what is overdue of one tenant alone, as the API would tell it, and is on record', async () => {
    await world.host.suspend({ minutes: 31, id: 'old' });
    await world.host.suspend({ minutes: 29, id: 'young' });
    await world.host.suspend({ minutes: 31, id: 'theirs', tenantId: 'globex' });

    const args = ['--tenant', 'acme', '--timeout', '30m', '--limit', '5', '--reason', 'Incident'];
    const { code, stdout, stderr } = await lapse('sweep', ...args, '--json');

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const sweep = JSON.parse(stdout);
    expect(sweep).toMatchObject({
      ...{ trigger: 'cli', status: 'succeeded', requestedBy: ME, timeoutSeconds: 1800, limit: 5, reason: 'Incident' },
      scope: { tenantId: 'acme', projectId: null, agentId: null },
      counts: { timedOut: 1, skipped: 0, failed: 0, total: 1 },
    });
    expect((await world.lapse.get(`/v1/sweeps/${sweep.id}`)).body).toEqual(sweep);
    expect(await world.host.ledger()).toMatchObject([{ sweepId: sweep.id, tenantId: 'acme', executionId: 'old' }]);
    expect((await world.host.find('theirs', 'globex')).status).toBe('suspended');
    expect((await world.host.find('young')).status).toBe('suspended');
    const deed = { kind: 'cli', who: ME, tenant: 'acme', address: 'local', action: 'sweep.request', outcome: 'done' };
    expect(await auditLogOf(world.host)).toEqual([{ ...deed, code: null, target: sweep.id }]);
  });

  test('tells a person in a table, and changes nothing in a dry run', async () => {
    await world.host.suspendMany(3, 31);

    const { code, stdout, stderr } = await lapse('sweep', '--dry-run');

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/│ Would time out │ 3 +│/);
    expect(await world.host.count('suspended')).toBe(3);
    expect(await world.host.ledger()).toEqual([]);
  });

  test('ends with 3 while another sweep of the scope runs, and its refusal is on record', async () => {
    const host = await world.host.pool.connect();
    const [database, schema] = [new URL(world.databaseUrl).pathname.slice(1), 'lapse'];
    const key = advisoryLockKey({ application: 'lapse', database, schema, name: 'sweep' });
    await host.query('BEGIN');
    await host.query('SELECT pg_advisory_xact_lock($1::bigint)', [key]);
    try {
      const { code, stdout, stderr } = await lapse('sweep');

      expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
      expect(stderr).toMatch(/^error: Another sweep of this scope is running/);
    } finally {
      await host.query('ROLLBACK');
      host.release();
    }
    expect(await auditLogOf(world.host)).toContainEqual(
      expect.objectContaining({ tenant: null, action: 'sweep.request', outcome: 'refused', code: 'sweep_running' }),
    );
  });

  test('ends with 4 where an execution could not be timed out, and says why', async () => {
    await world.host.suspend({ minutes: 31, id: 'good' });
    await world.host.suspend({ minutes: 31, id: 'frozen', tenantId: 'a\u001b[2Jb' });
    await world.host.pool.query(
      `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF NEW.id = 'frozen' THEN RAISE 'it is frozen'; END IF; RETURN NEW; END $$;
       CREATE TRIGGER slow BEFORE UPDATE ON workflow_executions FOR EACH ROW EXECUTE FUNCTION slow()`,
    );

    const { code, stdout } = await lapse('sweep');

    expect(code).toBe(4);
    expect(stdout).toMatch(/│ Status +│ partial/);
    expect(stdout).toMatch(/support \/ frozen +│ P0001: it is frozen/);
    expect(stdout).not.toContain('\u001b');
    expect((await world.host.find('good')).status).toBe('failed');
  });

  test('stops after its batch on SIGTERM, ends promptly with 143, and still tells what it did', async () => {
    await world.host.suspendMany(2_000, 31);
    await world.host.slowDown(0.004);
    const command = Command.start(['sweep', '--json'], {
      DATABASE_URL: world.databaseUrl,
      LAPSE_SWEEP_BATCH_SIZE: '50',
    });
    commands.push(command);
    await eventually(
      () => world.host.ledger(),
      (rows) => rows.length >= 100,
    );

    const began = Date.now();
    command.kill('SIGTERM');
    const { code, stdout } = await command.ended();

    expect(code).toBe(143);
    expect(Date.now() - began).toBeLessThan(5_000);
    const { id, status, counts } = JSON.parse(stdout);
    expect(status).toBe('interrupted');
    expect((await world.lapse.get(`/v1/sweeps/${id}`)).body).toMatchObject({ status, counts });
    expect(counts.timedOut).toBe(await world.host.count('failed'));
    expect(counts.timedOut).toBeLessThan(2_000);
  });

  test('draws its progress on a terminal, and nowhere else', async () => {
    if (spawnSync('script', ['--version']).error) {
      return void process.stdout.write('skipped: there is no script(1) to make a terminal\n');
    }
    await world.host.suspendMany(400, 31);
    await world.host.slowDown(0.01);
    const environment = { DATABASE_URL: world.databaseUrl, LAPSE_SWEEP_BATCH_SIZE: '50', TERM: 'xterm' };

    const shown = await Command.startInTerminal(['sweep', '--tenant', 'acme'], environment).ended();

    expect(shown.stdout).toMatch(/\d+ % {2}\d+ of 400/);
    expect(shown.stdout).toMatch(/│ Timed out │ 400/);
    await world.host.clear();
    await world.host.suspendMany(250, 31);
    const quiet = await Command.startInTerminal(['sweep', '--json'], environment).ended();
    expect(JSON.parse(quiet.stdout).counts.timedOut).toBe(250);
  });
});

test('without a database, or with a faulty configuration, a command ends with 1, in words and without a password', async () => {
  const faulty = await Command.run(['sweep'], {
    DATABASE_URL: 'mysql://root:hunter2@127.0.0.1/x',
    LAPSE_TIMEOUT: '5m',
  });

  expect(await away).toMatchObject({ code: 1, stdout: '' });
  expect((await away).stderr).toMatch(/^error: PostgreSQL can't be reached: .*; start it, or check DATABASE_URL/m);
  expect(faulty).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('2 faults') });
  expect((await away).stderr + faulty.stderr).not.toMatch(/hunter2|\n\s+at /);
});
