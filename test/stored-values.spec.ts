import { beforeEach, expect, test } from '@jest/globals';
import { ADMIN_KEY } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();
beforeEach(() => world.host.pool.query('TRUNCATE conversations'));

const LIST = '/v1/executions';
const ONE = '/v1/tenants/acme/projects/support/executions/odd';
const APPROVAL = '/v1/tenants/acme/projects/support/conversations/c/pending-approvals';
const DROP_IN = '/run/api/conversations/c/pending-approvals?projectId=support';

/** A suspended execution whose metadata and moment are exactly this SQL. */
async function store(metadata: string, { id = 'odd', updatedAt = 'now()', tenantId = 'acme' } = {}): Promise<void> {
  await world.host.pool.query(
    `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, metadata, updated_at)
     VALUES ($3, 'support', $1, 'agent', 'c', 'suspended', $2::jsonb, ${updatedAt})`,
    [id, metadata, tenantId],
  );
  await world.host.pool.query(
    `INSERT INTO conversations (tenant_id, project_id, id) VALUES ($1, 'support', 'c') ON CONFLICT DO NOTHING`,
    [tenantId],
  );
}

const waitingFor = (args: string, more = '') =>
  `{"pendingToolApproval": {"toolCallId": "call", "toolName": "pay", "args": ${args}${more}}}`;

/** The answer as it came: parsing would round what is looked for. */
async function textOf(path: string, headers: Record<string, string> = {}): Promise<{ text: string; headers: Headers }> {
  const response = await fetch(world.lapse.url + path, {
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'x-tenant-id': 'acme', ...headers },
  });
  return { text: await response.text(), headers: response.headers };
}

const nested = (depth: number) => `${'[{"a": '.repeat(depth)}1${'}]'.repeat(depth)}`;

test.each([
  ['an integer beyond 2^53', '12345678901234567890'],
  ['a number beyond every double', `1${'0'.repeat(400)}`],
  ['a decimal with its last zero', '{"amount": 1.10}'],
  ['a decimal with more digits than a double', '0.12345678901234567890123456789'],
  ['a list nested thousands of levels deep', nested(1_500)],
  ['a list nested as deeply as PostgreSQL lets it be', `${'['.repeat(6_000)}${']'.repeat(6_000)}`],
  ['an object with the names of JavaScript itself', '{"__proto__": {"a": 1}, "constructor": 2, "toString": null}'],
  ['text that looks like a replacement pattern', '["$&", "$1", "$`", "\\\\u0000", "\\u2028", "\\ud83e\\udd8a"]'],
  ['text', '"\\"quoted\\" \\\\ text"'],
  ['null', 'null'],
])('%s is answered exactly as it is stored, by each route that shows it', async (_what, args) => {
  await store(waitingFor(args));
  const { rows } = await world.host.pool.query(
    `SELECT (metadata -> 'pendingToolApproval' -> 'args')::text AS args FROM workflow_executions`,
  );

  for (const path of [LIST, ONE, APPROVAL, DROP_IN]) {
    const { text, headers } = await textOf(path);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(text).toContain(`"toolCallId":"call","toolName":"pay","args":${rows[0].args},"isDelegated":false`);
  }
});

test('what is nested deeply and numbered finely is timed out and taken back unchanged', async () => {
  await store(waitingFor(`[1.10, 12345678901234567890, ${nested(1_500)}]`), { updatedAt: `now() - interval '1 hour'` });
  const text = () => world.host.pool.query('SELECT metadata::text AS text, status FROM workflow_executions');
  const before = (await text()).rows[0];
  const { body: sweep } = await world.lapse.post('/v1/sweeps');
  expect(sweep.counts.timedOut).toBe(1);
  const { body: undo } = await world.lapse.post(`/v1/sweeps/${sweep.id}/undo`, { reason: 'a trial' });
  expect(undo.undone.reopened).toBe(1);
  expect((await text()).rows[0]).toEqual(before);
});

test('arguments that imitate a placeholder are answered as they are', async () => {
  await store(waitingFor('["00000000-0000-4000-8000-000000000000:0"]'));
  const { text } = await textOf(ONE);
  expect(JSON.parse(text).pendingToolApproval.args).toEqual(['00000000-0000-4000-8000-000000000000:0']);
});

test('the tag of an answer changes with the last digit of an argument, and only then', async () => {
  await store(waitingFor('12345678901234567890'));
  const first = await textOf(APPROVAL);
  const poll = () =>
    world.lapse.send('GET', APPROVAL, ADMIN_KEY, undefined, { 'if-none-match': first.headers.get('etag') as string });
  expect((await poll()).status).toBe(304);

  await world.host.pool.query(
    `UPDATE workflow_executions SET metadata = jsonb_set(metadata, '{pendingToolApproval,args}', '12345678901234567891')`,
  );

  expect((await poll()).status).toBe(200);
});

test('a list leaves large arguments out and says how large they are; asking for the execution gets them whole', async () => {
  const large = JSON.stringify('x'.repeat(1_000_000));
  for (let n = 0; n < 60; n += 1) {
    await store(waitingFor(large), { id: n === 0 ? 'odd' : `odd-${n}` });
  }
  await store(waitingFor(JSON.stringify('y'.repeat(16 * 1024 - 2))), { id: 'just' });

  const { text } = await textOf(`${LIST}?limit=500`);

  expect(text.length).toBeLessThan(1_200_000);
  const { items } = JSON.parse(text);
  expect(items).toHaveLength(61);
  expect(items[0].pendingToolApproval).toEqual({
    toolCallId: 'call',
    toolName: 'pay',
    args: null,
    isDelegated: false,
    argsOmitted: true,
    argsBytes: 1_000_002,
  });
  expect(items[60].pendingToolApproval).toMatchObject({ args: 'y'.repeat(16 * 1024 - 2) });
  expect(items[60].pendingToolApproval).not.toHaveProperty('argsOmitted');
  await world.host.pool.query(`DELETE FROM workflow_executions WHERE id <> 'odd'`);
  for (const path of [ONE, APPROVAL, DROP_IN]) {
    // Not toContain(), whose message would be megabytes.
    expect((await textOf(path)).text.includes(`"args":${large},"isDelegated"`)).toBe(true);
  }
});

test('names of any length cost a list a thousand characters each', async () => {
  const name = '🦊'.repeat(100_000);
  await store(JSON.stringify({ pendingToolApproval: { toolCallId: name, toolName: name } }), {
    updatedAt: `now() - interval '40 minutes'`,
  });
  await world.host.pool.query(`ALTER TABLE workflow_executions ALTER agent_id TYPE text, ALTER request_id TYPE text`);
  await world.host.pool.query('UPDATE workflow_executions SET agent_id = $1, request_id = $1', [name]);

  const [listed] = (await world.lapse.get(LIST)).body.items;
  const cut = '🦊'.repeat(1_000);
  expect(listed).toMatchObject({
    agentId: cut,
    requestId: cut,
    pendingToolApproval: { toolCallId: cut, toolName: cut },
  });
  expect((await world.lapse.get(ONE)).body).toMatchObject({ agentId: name, pendingToolApproval: { toolName: name } });
  await world.lapse.post('/v1/sweeps');
  const [timeout] = (await world.lapse.get('/v1/timeouts')).body.items;
  expect(timeout).toMatchObject({ agentId: cut, toolCallId: cut, toolName: cut });
});

const FIRST = '0001-01-01T00:00:00.000Z';
const LAST = '9999-12-31T23:59:59.999Z';

/** One execution at each end of what PostgreSQL can hold; the first three are overdue. */
async function storeExtremes(): Promise<void> {
  const moments = ['-infinity', '4713-01-01 00:00:00 BC', '0001-01-01 00:00:00', '9999-12-31 23:59:59.9999'];
  for (const [n, moment] of [...moments, '294276-12-31 23:59:59.999999', 'infinity'].entries()) {
    await store('{}', { id: `${n}`, updatedAt: `'${moment}'` });
  }
  await world.host.pool.query('UPDATE workflow_executions SET created_at = updated_at');
}

test.each(['', '&tenantId=acme', '&agentId=agent'])(
  'moments that ISO 8601 cannot write are shown as the nearest that it can, page by page (%s)',
  async (query) => {
    await storeExtremes();
    const items = [];
    let cursor = '';
    do {
      const { body } = await world.lapse.get(`${LIST}?limit=1${query}${cursor}`);
      items.push(...body.items);
      cursor = body.nextCursor ? `&cursor=${body.nextCursor}` : '';
    } while (cursor);

    expect(items.map(({ id }) => id)).toEqual(['0', '1', '2', '3', '4', '5']);
    expect(items.map(({ suspendedSince }) => suspendedSince)).toEqual([FIRST, FIRST, FIRST, LAST, LAST, LAST]);
    const early = '0001-01-01T00:30:00.000Z';
    expect(items.map(({ deadline }) => deadline)).toEqual([early, early, early, LAST, LAST, LAST]);
    expect(items.map(({ createdAt }) => createdAt)).toEqual([FIRST, FIRST, FIRST, LAST, LAST, LAST]);
    expect(items.map(({ overdue }) => overdue)).toEqual([true, true, true, false, false, false]);
  },
);

test('extreme moments are counted, timed out and recorded, and the ledger can be read', async () => {
  await storeExtremes();
  await world.host.pool.query(
    `INSERT INTO lapse.timeouts (sweep_id, tenant_id, project_id, execution_id, suspended_since, deadline, timed_out_at)
     VALUES (gen_random_uuid(), 'acme', 'support', 'old', '-infinity', '-infinity', 'infinity')`,
  );

  const { body: backlog } = await world.lapse.get('/v1/backlog');
  expect(backlog).toMatchObject({ suspended: 6, overdue: 3, oldestSuspendedSince: FIRST, nextDeadline: LAST });
  expect(backlog.ages[0]).toEqual({ upTo: '1m', suspended: 3 });
  expect(backlog.ages.at(-1)).toEqual({ upTo: null, suspended: 3 });
  const { body: sweep } = await world.lapse.post('/v1/sweeps');
  expect(sweep.counts).toEqual({ timedOut: 3, skipped: 0, failed: 0, total: 3 });
  const { status, body: ledger } = await world.lapse.get('/v1/timeouts');
  expect(status).toBe(200);
  const [old, ...swept] = [...ledger.items].reverse();
  expect(old).toMatchObject({ suspendedSince: FIRST, deadline: FIRST, timedOutAt: LAST });
  expect(swept.map(({ suspendedSince }: { suspendedSince: string }) => suspendedSince)).toEqual([FIRST, FIRST, FIRST]);
  const csv = await textOf('/v1/timeouts', { accept: 'text/csv' });
  expect(csv.text.trim().split('\r\n')).toHaveLength(5);
  const { rows } = await world.host.pool.query(
    `SELECT count(*)::int AS infinite FROM lapse.timeouts WHERE execution_id <> 'old' AND NOT isfinite(suspended_since)`,
  );
  expect(rows[0].infinite).toBe(0);
});

test.each(['0000-01-01T00:00:00Z', '2026-01-01T00:00:00+16:00'])('the time %s is refused', async (from) => {
  const { status, body } = await world.lapse.get(`/v1/timeouts?from=${encodeURIComponent(from)}`);
  expect([status, body.errors?.[0].path]).toEqual([400, 'query.from']);
});

test('a list of the longest ids of the widest characters has a next page', async () => {
  for (const end of ['a', 'b', 'c']) {
    const id = '🦊'.repeat(255) + end;
    await world.host.pool.query(
      `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status)
       VALUES ($1, $1, $1, 'agent', 'c', 'suspended')`,
      [id],
    );
  }
  const first = (await world.lapse.get(`${LIST}?limit=2`)).body;
  const second = await world.lapse.get(`${LIST}?limit=2&cursor=${first.nextCursor}`);
  expect([second.status, second.body.items?.length]).toEqual([200, 1]);
});
