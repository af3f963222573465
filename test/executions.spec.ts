import { expect, test } from '@jest/globals';
import { sendExactly } from './support/exact-request.js';
import type { Execution } from './support/host.js';
import { ADMIN_KEY } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();

interface Item {
  id: string;
  tenantId: string;
  suspendedSince: string | null;
  deadline: string | null;
  overdue: boolean;
}

const list = async (query = '', key?: string): Promise<Item[]> =>
  (await world.lapse.get(`/v1/executions${query}`, key)).body.items;
const ids = (items: Item[]) => items.map(({ id }) => id);

/** Every item of a list, page by page. */
async function listAll(query: string, limit: number): Promise<Item[]> {
  const items: Item[] = [];
  let cursor = '';
  do {
    const { body } = await world.lapse.get(`/v1/executions?limit=${limit}${query}${cursor}`);
    items.push(...body.items);
    cursor = body.nextCursor ? `&cursor=${body.nextCursor}` : '';
  } while (cursor);
  return items;
}

const suspend = (id: string, minutes: number, change: Partial<Execution> = {}) =>
  world.host.suspend({ id, minutes, ...change });

test('what waits is listed oldest suspended first, with its deadline', async () => {
  await suspend('young', 1);
  await suspend('overdue', 31, { tenantId: 'globex' });
  await suspend('approved', 40, { status: 'running' });

  const items = await list();

  expect(ids(items)).toEqual(['overdue', 'young']);
  expect(items.map(({ overdue }) => overdue)).toEqual([true, false]);
  expect(items[1]).toEqual({
    tenantId: 'acme',
    projectId: 'support',
    id: 'young',
    agentId: 'refund-agent',
    conversationId: expect.any(String),
    requestId: null,
    status: 'suspended',
    suspendedSince: expect.stringMatching(/Z$/),
    deadline: expect.stringMatching(/Z$/),
    overdue: false,
    pendingToolApproval: {
      toolCallId: 'call-1',
      toolName: 'issue_refund',
      args: { amount: 12.5 },
      isDelegated: false,
    },
    createdAt: expect.stringMatching(/Z$/),
    updatedAt: expect.stringMatching(/Z$/),
  });
  expect(Date.parse(items[1]?.deadline ?? '') - Date.parse(items[1]?.suspendedSince ?? '')).toBe(30 * 60_000);
});

test('filters narrow the list, and all of them together', async () => {
  await suspend('a', 31);
  await suspend('b', 20, { projectId: 'sales' });
  await suspend('c', 10, { agentId: 'mail-agent' });
  await suspend('d', 5, { tenantId: 'globex' });
  await suspend('e', 5, { status: 'failed' });

  expect(ids(await list('?projectId=sales'))).toEqual(['b']);
  expect(ids(await list('?agentId=mail-agent'))).toEqual(['c']);
  expect(ids(await list('?tenantId=globex'))).toEqual(['d']);
  expect(ids(await list('?overdue=true'))).toEqual(['a']);
  expect(ids(await list('?overdue=false'))).toEqual(['b', 'c', 'd']);
  expect(ids(await list('?status=failed'))).toEqual(['e']);
  expect(ids(await list('?status=completed'))).toEqual([]);
  expect(ids(await list('?tenantId=acme&projectId=support&agentId=refund-agent&overdue=true'))).toEqual(['a']);
  const [{ conversationId }] = (await world.lapse.get('/v1/executions?tenantId=globex')).body.items;
  expect(ids(await list(`?tenantId=globex&projectId=support&conversationId=${conversationId}`))).toEqual(['d']);
  expect(ids(await list(`?tenantId=acme&projectId=support&conversationId=${conversationId}`))).toEqual([]);
});

test.each([
  ['null', null],
  ['a list', ['pendingToolApproval']],
  ['a text', 'pendingToolApproval'],
  ['a number', 7],
  ['malformed', { pendingToolApproval: { toolCallId: 1 } }],
])('metadata that is %s is served as nothing that is pending', async (_what, metadata) => {
  await suspend('odd', 1, { metadata });
  expect(await list()).toMatchObject([{ id: 'odd', pendingToolApproval: null }]);
  const { status, body } = await world.lapse.get('/v1/tenants/acme/projects/support/executions/odd');
  expect([status, body.pendingToolApproval]).toEqual([200, null]);
});

test.each(['a/b', '%2F', 'ä ö', '🦊', 'a?b=c&d', "'; DROP TABLE workflow_executions; --", '%', '...'])(
  'an execution with the id %p is found by it, and no other is',
  async (id) => {
    await suspend(id, 31);
    await suspend('other', 31);
    const path = (name: string) => `/v1/tenants/acme/projects/support/executions/${encodeURIComponent(name)}`;
    expect((await world.lapse.get(path(id))).body).toMatchObject({ id, overdue: true });
    expect((await world.lapse.get(path(`${id}x`))).body.code).toBe('execution_not_found');
  },
);

test.each(['..', '.', '../../sweeps'])('the execution "%s" is found, whatever its id means to a path', async (id) => {
  await suspend(id, 5);
  const { status, body } = await sendExactly(world.lapse.url, {
    method: 'GET',
    path: `/v1/tenants/acme/projects/support/executions/${encodeURIComponent(id)}`,
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  expect([status, body.id]).toEqual([200, id]);
});

test('an execution that is not suspended has neither a deadline nor a suspension', async () => {
  await suspend('done', 45, { status: 'completed' });
  const { body } = await world.lapse.get('/v1/tenants/acme/projects/support/executions/done');
  expect(body).toMatchObject({ status: 'completed', suspendedSince: null, deadline: null, overdue: false });
});

test('a tenant sees its own executions alone', async () => {
  await suspend('same', 31);
  await suspend('same', 31, { tenantId: 'globex' });
  const key = await world.lapse.createKey('viewer', 'globex');

  expect((await list('', key)).map(({ tenantId }) => tenantId)).toEqual(['globex']);
  expect((await list('?status=failed', key)).length).toBe(0);
  expect((await world.lapse.get('/v1/executions?tenantId=acme', key)).status).toBe(404);
  const own = await world.lapse.get('/v1/tenants/globex/projects/support/executions/same', key);
  expect(own.body.tenantId).toBe('globex');
  expect((await world.lapse.get('/v1/tenants/acme/projects/support/executions/same', key)).body.code).toBe(
    'tenant_not_found',
  );
});

test.each(['', '&tenantId=acme', '&tenantId=acme&projectId=support', '&status=running'])(
  'pages of a list (%s) follow one another without a gap or a repetition, to the microsecond',
  async (query) => {
    const status = query.includes('running') ? 'running' : 'suspended';
    await world.host.pool.query(
      `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, created_at, updated_at)
       SELECT 'acme', 'support', n::text, 'a', 'c', $1, now(), '2026-01-01'::timestamp + (n / 3) * interval '1 microsecond'
         FROM generate_series(1, 50) n`,
      [status],
    );
    const seen = await listAll(query, 7);
    expect(seen.map(({ id }) => Number(id)).sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, n) => n + 1));
  },
);

test('where few of many match, the list goes on over pages that look at so many each', async () => {
  await world.host.pool.query(
    `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, created_at, updated_at)
     SELECT 'acme', 'support', n::text, CASE WHEN n IN (7, 20500, 41000) THEN 'rare' ELSE 'usual' END, 'c', 'suspended',
            now(), '2026-01-01'::timestamp + n * interval '1 millisecond'
       FROM generate_series(1, 41000) n`,
  );
  const first = (await world.lapse.get('/v1/executions?agentId=rare')).body;
  expect(ids(first.items)).toEqual(['7']);
  expect(first.nextCursor).not.toBeNull();
  expect(ids(await listAll('&agentId=rare', 50))).toEqual(['7', '20500', '41000']);
  expect(ids(await listAll('&agentId=nobody', 50))).toEqual([]);
});

test.each([
  ['status=nonsense', 'query.status'],
  ['overdue=yes', 'query.overdue'],
  ['overdue=true&status=failed', 'query.overdue'],
  ['limit=0', 'query.limit'],
  ['limit=501', 'query.limit'],
  ['cursor=garbage', 'query.cursor'],
  ['order=desc', 'query.order'],
  ['projectId=a%00b', 'query.projectId'],
])('executions?%s is refused', async (query, path) => {
  const { status, body } = await world.lapse.get(`/v1/executions?${query}`);
  expect([status, body.errors[0].path]).toEqual([400, path]);
});

test('an id of 10,000 characters is refused', async () => {
  const long = 'x'.repeat(10_000);
  const inQuery = await world.lapse.get(`/v1/executions?agentId=${long}`);
  expect([inQuery.status, inQuery.body.errors[0].path]).toEqual([400, 'query.agentId']);
  const inPath = await world.lapse.get(`/v1/tenants/acme/projects/support/executions/${long}`);
  expect([inPath.status, inPath.body.errors[0].path]).toEqual([400, 'path.executionId']);
});

test('every row that nobody touches comes exactly once, while a writer changes others', async () => {
  const { pool } = world.host;
  await pool.query(
    `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, created_at, updated_at)
     SELECT 't' || n % 10, 'support', n::text, 'a', 'c', 'suspended', now(),
            '2026-01-01'::timestamp + (n / 4) * interval '1 microsecond'
       FROM generate_series(1, 100000) n`,
  );
  await pool.query('ANALYZE workflow_executions');
  let writing = true;
  const writer = (async () => {
    while (writing) {
      const ids = Array.from({ length: 50 }, () => String(Math.floor(Math.random() * 10_000) * 10 + 3));
      await pool.query(
        `UPDATE workflow_executions SET status = CASE status WHEN 'suspended' THEN 'running' ELSE 'suspended' END, updated_at = now()
          WHERE tenant_id = 't3' AND project_id = 'support' AND id = ANY ($1)`,
        [ids],
      );
    }
  })();

  const seen = await listAll('', 500);
  writing = false;
  await writer;

  const untouched = seen.filter(({ id }) => Number(id) % 10 !== 3);
  expect(untouched).toHaveLength(90_000);
  expect(new Set(ids(untouched)).size).toBe(90_000);
}, 120_000);
