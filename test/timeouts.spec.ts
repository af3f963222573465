import { beforeEach, expect, test } from '@jest/globals';
import { ADMIN_KEY } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();
const NO_SUCH_ID = '01890000-0000-7000-8000-000000000000';

interface Item {
  executionId: string;
  tenantId: string;
}

const names = (items: Item[]) => items.map(({ executionId }) => executionId).sort();
const list = async (path = '/v1/timeouts', key?: string): Promise<Item[]> =>
  (await world.lapse.get(path, key)).body.items;
const csv = (path: string, key = ADMIN_KEY) => world.lapse.send('GET', path, key, undefined, { accept: 'text/csv' });

let sweepOfAcme: string;

/** Three tenants' executions, timed out by a sweep of one tenant and another of the platform. */
beforeEach(async () => {
  const { host, lapse } = world;
  await host.suspend({ id: 'a1', minutes: 31 });
  await host.suspend({ id: 'a2', minutes: 32, projectId: 'sales', agentId: 'mail-agent' });
  sweepOfAcme = (await lapse.post('/v1/sweeps', { tenantId: 'acme' })).body.id;
  await host.suspend({ id: 'g1', minutes: 31, tenantId: 'globex' });
  await host.suspend({
    id: 'g2',
    minutes: 31,
    tenantId: 'globex',
    metadata: { pendingToolApproval: { toolCallId: 'c', toolName: '=cmd()', args: {} } },
  });
  await lapse.post('/v1/sweeps', {});
});

test('every timeout is in the ledger with its whole story', async () => {
  const [timeout] = await list(`/v1/timeouts?projectId=sales`);
  expect(timeout).toEqual({
    id: expect.any(String),
    sweepId: sweepOfAcme,
    tenantId: 'acme',
    projectId: 'sales',
    executionId: 'a2',
    agentId: 'mail-agent',
    conversationId: expect.any(String),
    toolCallId: 'call-1',
    toolName: 'issue_refund',
    suspendedSince: expect.stringMatching(/Z$/),
    deadline: expect.stringMatching(/Z$/),
    timedOutAt: expect.stringMatching(/Z$/),
    trigger: 'api',
    ...{ resurrectedAt: null, resurrectedStatus: null, reopenedAt: null, reopenedBy: null, reopenReason: null },
    ...{ undoId: null, outcome: null, failure: null },
  });
});

test('the ledger is filtered by tenant, project, agent, tool, sweep and time', async () => {
  const hour = 3_600_000;
  const at = (ms: number) => encodeURIComponent(new Date(Date.now() + ms).toISOString());
  expect(names(await list())).toEqual(['a1', 'a2', 'g1', 'g2']);
  expect(names(await list('/v1/timeouts?tenantId=globex'))).toEqual(['g1', 'g2']);
  expect(names(await list('/v1/timeouts?agentId=mail-agent'))).toEqual(['a2']);
  expect(names(await list('/v1/timeouts?toolName=%3Dcmd()'))).toEqual(['g2']);
  expect(names(await list(`/v1/sweeps/${sweepOfAcme}/timeouts`))).toEqual(['a1', 'a2']);
  expect(names(await list(`/v1/timeouts?from=${at(-hour)}&to=${at(hour)}`))).toEqual(['a1', 'a2', 'g1', 'g2']);
  expect(names(await list(`/v1/timeouts?from=${at(hour)}`))).toEqual([]);
  expect(names(await list(`/v1/timeouts?to=${at(-hour)}`))).toEqual([]);
});

test('the ledger is read page by page, newest first', async () => {
  const first = (await world.lapse.get('/v1/timeouts?limit=3')).body;
  const second = (await world.lapse.get(`/v1/timeouts?limit=3&cursor=${first.nextCursor}`)).body;
  expect(names([...first.items, ...second.items])).toEqual(['a1', 'a2', 'g1', 'g2']);
  expect(names(first.items)).toEqual(expect.arrayContaining(['g1', 'g2']));
  expect(second.nextCursor).toBeNull();
});

test('a tenant reads its own part of the ledger alone', async () => {
  const key = await world.lapse.createKey('viewer', 'globex');
  expect(names(await list('/v1/timeouts', key))).toEqual(['g1', 'g2']);
  expect((await world.lapse.get('/v1/timeouts?tenantId=acme', key)).status).toBe(404);
  expect((await world.lapse.get(`/v1/sweeps/${sweepOfAcme}/timeouts`, key)).body.code).toBe('sweep_not_found');
  expect((await world.lapse.get(`/v1/sweeps/${NO_SUCH_ID}/timeouts`, key)).body.code).toBe('sweep_not_found');
  expect((await csv('/v1/timeouts', key)).body).not.toMatch(/acme/);
});

test('as CSV the whole list comes as a table, in which no text is a formula', async () => {
  const { status, headers, body } = await csv('/v1/timeouts?tenantId=globex');
  expect([status, headers.get('content-type')]).toEqual([200, 'text/csv; charset=utf-8']);
  expect(headers.get('content-disposition')).toBe('attachment; filename="timeouts.csv"');
  const [header, ...rows] = body.trim().split('\r\n');
  expect(header).toBe(
    'id,sweepId,tenantId,projectId,executionId,agentId,conversationId,toolCallId,toolName,suspendedSince,deadline,' +
      'timedOutAt,trigger,resurrectedAt,resurrectedStatus,reopenedAt,reopenedBy,reopenReason,undoId,outcome,failure',
  );
  expect(rows).toHaveLength(2);
  expect(rows.join()).toContain(",'=cmd(),");
  expect((await csv(`/v1/sweeps/${sweepOfAcme}/timeouts`)).body.trim().split('\r\n')).toHaveLength(3);
  expect((await csv(`/v1/sweeps/${NO_SUCH_ID}/timeouts`)).status).toBe(404);
});

test('CSV goes on over as many rows as there are', async () => {
  await world.host.pool.query(
    `INSERT INTO lapse.timeouts (sweep_id, tenant_id, project_id, execution_id, suspended_since, deadline, timed_out_at)
     SELECT gen_random_uuid(), 'many', 'p', n::text, now(), now(), now() FROM generate_series(1, 2500) n`,
  );
  const { body } = await csv('/v1/timeouts?tenantId=many');
  expect(new Set(body.trim().split('\r\n')).size).toBe(2501);
});

test.each([
  ['from=yesterday', 'query.from'],
  ['from=2026-11-22', 'query.from'],
  ['from=2026-02-30T00:00:00Z', 'query.from'],
  ['to=2026-11-22T00:00:00', 'query.to'],
  ['to=2026-02-30T25:00:00Z', 'query.to'],
  ['to=2026-01-01T00:00:00%2B23:59', 'query.to'],
  ['from=2026-11-22T00:00:00.000001Z&to=2026-11-22T00:00:00Z', 'query.to'],
  ['from=2026-11-22T00:00:00Z&to=2026-11-22T00:30:00%2B01:00', 'query.to'],
  ['sweepId=x', 'query.sweepId'],
  ['toolName=', 'query.toolName'],
])('timeouts?%s is refused', async (query, path) => {
  for (const list of ['/v1/timeouts', `/v1/sweeps/${sweepOfAcme}/timeouts`]) {
    const { status, body } = await world.lapse.get(`${list}?${query}`);
    expect([status, body.errors?.map((fault: { path: string }) => fault.path)]).toEqual([400, [path]]);
  }
});

test('a + that arrives as a space is explained', async () => {
  const { body } = await world.lapse.get('/v1/timeouts?from=2026-11-22T00:00:00+01:00');
  expect(body.errors[0].message).toMatch('write the + of an offset as %2B');
  expect((await world.lapse.get('/v1/timeouts?from=2026-11-22')).body.errors[0].message).not.toMatch('%2B');
});

test.each([
  ['from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59.999999Z', 4],
  ['from=0001-01-01T15:59:00%2B15:59&to=9999-12-31T08:00:59-15:59', 4],
  ['from=2026-11-22T00:00:00Z&to=2026-11-22t01:00:00%2B01:00', 0],
  [`from=2026-11-22T00:00:00.${'1'.repeat(300)}z`, 4],
])('timeouts?%s is read as RFC 3339 has it', async (query, count) => {
  expect(await list(`/v1/timeouts?${query}`)).toHaveLength(count);
});
