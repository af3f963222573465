import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import stringWidth from 'string-width';
import { Command, type Ended } from './support/command-line.js';
import { APPROVAL, type Execution } from './support/host.js';
import { sweepANight } from './support/night.js';
import { useWorld } from './support/world.js';

const world = useWorld();
const cleanups: (() => Promise<unknown>)[] = [];
beforeEach(() => world.host.pool.query('TRUNCATE lapse.audit_log, conversations'));
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

/** On the database of this file. */
function lapse(...args: string[]): Promise<Ended> {
  return Command.run(args, { DATABASE_URL: world.databaseUrl });
}

async function json(...args: string[]) {
  const { code, stdout, stderr } = await lapse(...args, '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

const suspend = (id: string, minutes: number, change: Partial<Execution> = {}) =>
  world.host.suspend({ id, minutes, ...change });
const ids = ({ items }: { items: { id: string }[] }) => items.map(({ id }) => id);

function expectToFit(text: string) {
  for (const line of text.split('\n')) {
    expect(stringWidth(line)).toBeLessThanOrEqual(100);
  }
  // The right border stands in one column, whatever the cells hold.
  const widths = text
    .split('\n')
    .filter((line) => /^[┌│├└]/.test(line))
    .map((line) => stringWidth(line));
  expect(Math.max(...widths)).toBeLessThanOrEqual(100);
}

const WIDE = '日本語テナント'.repeat(30);
const FAMILY = '👩‍👩‍👧‍👦🫠é\u0301ก็'.repeat(25);
const HOSTILE = 'a\u001b[31m\n\u202e\u2028\u200bb';

describe('lapse executions', () => {
  test('shows what waits in a table, and a program the items of the API', async () => {
    await suspend('old', 95);
    await suspend('young', 5);
    await suspend('theirs', 50, { tenantId: 'globex' });

    const [table, items] = await Promise.all([lapse('executions'), json('executions')]);

    expect(table).toMatchObject({ code: 0, stderr: '' });
    expect(table.stdout).toMatch(/│ Tenant +│ Project +│ Execution +│ Tool +│ Status +│ For +│/);
    expect(table.stdout).toMatch(/│ acme +│ support +│ old +│ issue_refund +│ overdue +│ 1h 35m +│/);
    expect(table.stdout).toMatch(/│ acme +│ support +│ young +│ issue_refund +│ suspended +│ 5m/);
    expect(ids(items)).toEqual(['old', 'theirs', 'young']);
    expect(items).toEqual((await world.lapse.get('/v1/executions')).body);
    expect((await world.host.pool.query('SELECT FROM lapse.audit_log')).rowCount).toBe(0);
  });

  test('finds by id and by every filter of the API: each leaves out what it should', async () => {
    const toolName = 'send_mail';
    const metadata = { pendingToolApproval: { toolCallId: 'c', toolName, args: null, isDelegated: false } };
    await suspend('found', 25, { metadata });
    await suspend('found', 25, { metadata, tenantId: 'globex' });
    await suspend('found', 25, { metadata, projectId: 'sales' });
    await suspend('of another agent', 25, { metadata, agentId: 'other' });
    await suspend('for another tool', 25);
    await suspend('not for long', 5, { metadata });
    await suspend('overdue', 95, { metadata });
    await suspend('of another user', 25, { metadata });
    await suspend('ended', 25, { metadata, status: 'completed' });
    await world.host.pool.query(
      `UPDATE workflow_executions SET conversation_id = CASE WHEN id = 'of another user' THEN 'of bob' ELSE project_id END`,
    );
    await world.host.pool.query(
      `INSERT INTO conversations (tenant_id, project_id, id, user_id)
       SELECT DISTINCT tenant_id, project_id, conversation_id, CASE WHEN conversation_id = 'of bob' THEN 'bob' ELSE 'ada' END
         FROM workflow_executions`,
    );
    const place = ['--tenant', 'acme', '--project', 'support', '--agent', 'refund-agent'];

    const [filtered, byId, overdue] = await Promise.all([
      json('executions', ...place, '--tool', toolName, '--longer-than', '10m', '--user', 'ada', '--no-overdue'),
      json('executions', '--id', 'found', '--conversation', 'support'),
      json('executions', '--overdue', '--status', 'suspended'),
    ]);

    expect(ids(filtered)).toEqual(['found']);
    expect(byId.items.map(({ tenantId }: { tenantId: string }) => tenantId)).toEqual(['acme', 'globex']);
    expect(ids(overdue)).toEqual(['overdue']);
  });

  test('says so if nothing is found, and that there are more than were asked for', async () => {
    expect(await lapse('executions', '--id', 'nobody')).toEqual({
      code: 0,
      stdout: 'No such execution.\n',
      stderr: '',
    });
    await world.host.suspendMany(3, 5);

    const [table, page] = await Promise.all([lapse('executions', '--limit', '2'), json('executions', '--limit', '2')]);

    expect(table.stdout).toMatch(/└.*┘\nThere are more than these 2: raise --limit\.\n$/);
    expect(ids(page)).toEqual(['1', '2']);
    const rest = await json('executions', '--limit', '2', '--cursor', page.nextCursor);
    expect([ids(rest), rest.nextCursor]).toEqual([['3'], null]);
  });

  test('fits a table into 100 columns whatever it shows, and never cuts JSON', async () => {
    const args = { text: 'x'.repeat(20_000), number: 12345678901234567890n.toString() };
    const long = 'i'.repeat(256);
    for (const [at, id] of [WIDE, FAMILY, long, HOSTILE].entries()) {
      await suspend(`${at}${id}`.slice(0, 256), 5, {
        tenantId: id.slice(0, 200),
        projectId: id.slice(0, 200),
        metadata: {
          ...APPROVAL,
          pendingToolApproval: { ...APPROVAL.pendingToolApproval, toolName: `${id}${'t'.repeat(2_000)}`, args },
        },
      });
    }

    const [table, { items }] = await Promise.all([lapse('executions'), json('executions')]);

    expectToFit(table.stdout);
    for (const odd of ['\u001b', '\u202e', '\u2028']) {
      expect(table.stdout).not.toContain(odd);
    }
    expect(table.stdout).toMatch(/\nCut to fit: … stands for the rest; --json has everything\.\n/);
    expect(items).toHaveLength(4);
    for (const item of items) {
      expect(item.pendingToolApproval.args).toEqual(args);
      expect(item.pendingToolApproval.toolName).toMatch(/t{2000}$/);
    }
  });

  test('keeps an id whole beside long names of tenants and tools', async () => {
    const id = '01a2046b-b78f-79aa-b88d-dc1d2687064d';
    const toolName = 'a-tool-with-a-name-that-goes-on-and-on-and-on';
    await suspend(id, 5, {
      ...{ tenantId: 't'.repeat(80), projectId: 'p'.repeat(80) },
      metadata: { ...APPROVAL, pendingToolApproval: { ...APPROVAL.pendingToolApproval, toolName } },
    });

    const environment = { DATABASE_URL: world.databaseUrl };
    const [{ stdout }, narrow] = await Promise.all([
      lapse('executions'),
      Command.startInTerminal(['executions'], environment, 76).ended(),
    ]);

    expectToFit(stdout);
    expect(stdout).toContain(`│ ${id} │`);
    expect(narrow.stdout).toContain(`│ ${id} │`);
    expect(Math.max(...narrow.stdout.split('\r\n').map((line) => stringWidth(line)))).toBeLessThanOrEqual(76);
  });

  test('ends with 2 on wrong usage, names every fault in its own words, and needs no database', async () => {
    const nowhere = { DATABASE_URL: 'postgres://127.0.0.1:1/none' };
    const wrong = ['--tenant', '', '--longer-than', 'soon', '--status', 'odd', '--limit', '0', '--overdue'];
    const { code, stderr } = await Command.run(['executions', ...wrong], nowhere);

    expect(code).toBe(2);
    for (const option of ['--tenant', '--longer-than', '--status', '--limit']) {
      expect(stderr).toMatch(new RegExp(`^error: ${option} must be `, 'm'));
    }
    const excluding = await lapse('executions', '--overdue', '--status', 'failed');
    expect(excluding).toEqual({
      code: 2,
      stdout: '',
      stderr: 'error: --overdue applies to only suspended executions; leave it out, or ask for the status suspended\n',
    });
    expect((await lapse('executions', '--cursor', 'garbage')).stderr).toMatch(
      /^error: --cursor is not a cursor of this/,
    );
  });
});

test('lapse backlog counts by tenant and by age, as the API does, and says if nothing waits', async () => {
  expect(await lapse('backlog')).toEqual({ code: 0, stdout: 'Nothing waits.\n', stderr: '' });
  await suspend('a', 95);
  await suspend('b', 0.5);
  await suspend('c', 5, { tenantId: WIDE.slice(0, 200) });

  const [table, ofTenant] = await Promise.all([lapse('backlog'), json('backlog', '--tenant', 'acme')]);

  expectToFit(table.stdout);
  expect(table.stdout).toMatch(/│ Waiting +│ 3 +│\n│ Overdue +│ 1 +│\n│ Oldest +│ 1h 35m, since /);
  expect(table.stdout).toMatch(/│ acme +│ 2 +│ 1 +│/);
  expect(table.stdout).toMatch(/│ up to 6h +│ 1 +│/);
  const { body } = await world.lapse.get('/v1/backlog?tenantId=acme');
  expect(ofTenant).toEqual({ ...body, asOf: ofTenant.asOf, ages: ofTenant.ages });
  expect(ofTenant).toMatchObject({ suspended: 2, overdue: 1, byTenant: [{ tenantId: 'acme' }] });
});

test('lapse sweeps, timeouts and failures list what the API lists, with its filters', async () => {
  await suspend('old', 95);
  await suspend('theirs', 95, { tenantId: 'globex' });
  for (const tenantId of ['acme', 'globex']) {
    await world.lapse.post('/v1/sweeps?wait=10', { tenantId });
  }
  await world.host.pool.query(
    `INSERT INTO lapse.failures (tenant_id, project_id, execution_id, next_try_at, last_reason, last_sweep_id)
     VALUES ('acme', 'support', 'frozen', now() + interval '5 minutes', repeat('P0001: frozen ', 50), gen_random_uuid()),
            ('globex', 'support', 'theirs', now(), 'P0001', gen_random_uuid())`,
  );

  for (const [command, nothing, filters, query] of [
    ['sweeps', 'No such sweep.', ['--trigger', 'api', '--status', 'succeeded'], 'trigger=api&status=succeeded'],
    [
      'timeouts',
      'No such timeout.',
      ['--tool', 'issue_refund', '--execution', 'old', '--no-resurrected'],
      'toolName=issue_refund&executionId=old&resurrected=false',
    ],
    ['failures', 'Nothing fails.', ['--project', 'support'], 'projectId=support'],
  ] as const) {
    const [table, filtered, none] = await Promise.all([
      lapse(command),
      json(command, '--tenant', 'acme', ...filters),
      lapse(command, '--tenant', 'nobody'),
    ]);
    expectToFit(table.stdout);
    expect(table.stdout).toMatch(/├.*\n(│.*\n){2}└/);
    expect(filtered).toEqual((await world.lapse.get(`/v1/${command}?tenantId=acme&${query}`)).body);
    expect(filtered.items.length).toBe(1);
    expect(none).toEqual({ code: 0, stdout: `${nothing}\n`, stderr: '' });
  }
});

test('lapse sweeps finds by kind, period and how many were timed out, as the API does', async () => {
  const [first, second] = (await sweepANight(world.host, { sweeps: 3, perTenant: 2 })) as [string, string];
  await world.lapse.post('/v1/undo?wait=60', { sweepId: first, tenantId: 'acme', reason: 'x' });
  const minute = ['--from', '2026-11-24T22:01:00Z', '--to', '2026-11-24T22:02:00Z'];

  const [undos, ofMinute, ofTenant, wrong] = await Promise.all([
    json('sweeps', '--kind', 'undo'),
    json('sweeps', ...minute, '--kind', 'timeout', '--min-timed-out', '4'),
    json('sweeps', ...minute, '--tenant', 'acme', '--min-timed-out', '3'),
    lapse('sweeps', '--kind', 'odd', '--from', 'yesterday', '--to', 'now', '--min-timed-out', '-1'),
  ]);

  expect(undos).toEqual((await world.lapse.get('/v1/sweeps?kind=undo')).body);
  expect(undos.items).toMatchObject([{ kind: 'undo', undoes: first }]);
  expect(ids(ofMinute)).toEqual([second]);
  expect(ids(ofTenant)).toEqual([]);
  expect(wrong.code).toBe(2);
  for (const option of ['--kind', '--from', '--to', '--min-timed-out']) {
    expect(wrong.stderr).toMatch(new RegExp(`^error: ${option} must be `, 'm'));
  }
});
