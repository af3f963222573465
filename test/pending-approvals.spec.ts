import { beforeEach, expect, test } from '@jest/globals';
import { ADMIN_KEY } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();
beforeEach(async () => {
  await world.host.pool.query('TRUNCATE conversations');
  await world.host.pool.query(
    `INSERT INTO conversations (tenant_id, project_id, id) VALUES ('acme', 'support', 'a/b')`,
  );
});

const PATH = '/v1/tenants/acme/projects/support/conversations/a%2Fb/pending-approvals';

/** An execution of the conversation, begun and suspended so many minutes ago. */
async function execution(minutes: number, change: { status?: string; metadata?: unknown; tenantId?: string } = {}) {
  const { id, tenantId } = await world.host.suspend({ minutes, ...change });
  await world.host.pool.query(
    `UPDATE workflow_executions SET conversation_id = 'a/b' WHERE id = $1 AND tenant_id = $2`,
    [id, tenantId],
  );
  return id;
}

const ask = async (key?: string) => (await world.lapse.get(PATH, key)).body;

test('a suspended execution of the conversation is told with its tool, arguments and deadline', async () => {
  const id = await execution(10);
  const { hasPending, approval } = await ask();
  expect(hasPending).toBe(true);
  expect(approval).toEqual({
    toolCallId: 'call-1',
    toolName: 'issue_refund',
    args: { amount: 12.5 },
    isDelegated: false,
    executionId: id,
    suspendedSince: expect.stringMatching(/Z$/),
    deadline: expect.stringMatching(/Z$/),
  });
  expect(Date.parse(approval.deadline) - Date.parse(approval.suspendedSince)).toBe(30 * 60_000);
});

test('the newest execution decides', async () => {
  await execution(20);
  await execution(10, { status: 'running' });
  expect(await ask()).toEqual({ hasPending: false });
});

test.each([
  ['is overdue', 31, {}],
  ['has no metadata', 1, { metadata: null }],
  ['has a list for metadata', 1, { metadata: [] }],
  ['has a text for metadata', 1, { metadata: 'waiting' }],
  ['does not say what it waits for', 1, { metadata: {} }],
  ['says it in another form', 1, { metadata: { pendingToolApproval: { toolCallId: 7, toolName: 'x' } } }],
  ['says it as text', 1, { metadata: { pendingToolApproval: 'yes' } }],
  ['was approved', 1, { status: 'running' }],
])('nothing is pending where the execution %s', async (_what, minutes, change) => {
  await execution(minutes, change);
  expect(await ask()).toEqual({ hasPending: false });
});

test('nothing is pending in a conversation without executions, and a conversation that is not there is 404', async () => {
  expect(await ask()).toEqual({ hasPending: false });
  const { status, body } = await world.lapse.get(PATH.replace('a%2Fb', 'missing'));
  expect([status, body.code]).toEqual([404, 'conversation_not_found']);
});

test('a conversation of the same id in another tenant is another conversation', async () => {
  await execution(10, { tenantId: 'globex' });
  expect(await ask()).toEqual({ hasPending: false });
  expect((await world.lapse.get(PATH.replace('acme', 'globex'), ADMIN_KEY)).status).toBe(404);
  expect(await ask(await world.lapse.createKey('viewer', 'acme'))).toEqual({ hasPending: false });
  expect(await ask(await world.lapse.createKey('viewer', 'globex'))).toMatchObject({ code: 'tenant_not_found' });
});

test('a poll that brings the tag of the last answer is told that nothing has changed, until something has', async () => {
  const id = await execution(10);
  const { headers } = await world.lapse.get(PATH);
  const poll = () =>
    world.lapse.send('GET', PATH, ADMIN_KEY, undefined, { 'if-none-match': headers.get('etag') as string });

  expect((await poll()).status).toBe(304);
  await world.host.pool.query(`UPDATE workflow_executions SET status = 'running' WHERE id = $1`, [id]);
  const changed = await poll();

  expect([changed.status, changed.body]).toEqual([200, { hasPending: false }]);
});

const ORIGINAL = '/run/api/conversations/a%2Fb/pending-approvals?projectId=support';

test("the original service's path answers for the credential's tenant, with its field names", async () => {
  const id = await execution(10);
  await execution(5, { tenantId: 'globex' });
  const { status, body } = await world.lapse.get(ORIGINAL, await world.lapse.createKey('viewer', 'acme'));
  expect(status).toBe(200);
  expect(body).toEqual({
    hasPending: true,
    approval: {
      toolCallId: 'call-1',
      toolName: 'issue_refund',
      args: { amount: 12.5 },
      isDelegated: false,
      workflowRunId: id,
      updatedAt: expect.stringMatching(/Z$/),
    },
  });
  const foreign = await world.lapse.get(ORIGINAL, await world.lapse.createKey('viewer', 'globex'));
  expect([foreign.status, foreign.body]).toEqual([404, { error: 'There is no such conversation' }]);
});

const OF_HOST = '/run/v1/conversations/a%2Fb/pending-approvals';

/** As callers of the host ask: they name the project in a header. */
const askAsHost = async (key?: string, headers: Record<string, string> = { 'x-inkeep-project-id': 'support' }) =>
  world.lapse.send('GET', OF_HOST, key ?? (await world.lapse.createKey('viewer', 'acme')), undefined, headers);

test("the host's path answers field for field as the host does", async () => {
  const id = await execution(10);
  await world.host.pool.query(
    `UPDATE workflow_executions SET updated_at = date_trunc('minute', updated_at) + interval '1.12 s' WHERE id = $1`,
    [id],
  );
  const { status, body } = await askAsHost();
  expect([status, body]).toEqual([
    200,
    {
      hasPending: true,
      approval: {
        toolCallId: 'call-1',
        toolName: 'issue_refund',
        args: { amount: 12.5 },
        isDelegated: false,
        workflowRunId: id,
        updatedAt: (await world.host.find(id)).updatedAt,
      },
    },
  ]);
  expect(Object.keys(body.approval).join()).toBe('toolCallId,toolName,args,isDelegated,workflowRunId,updatedAt');
  expect(body.approval.updatedAt).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:01\.12$/);
});

test.each<[string, object, object]>([
  ['without args', { isDelegated: true }, { isDelegated: true }],
  ['with args of null', { isDelegated: true, args: null }, { isDelegated: true, args: null }],
  ['with an empty list for args', { isDelegated: false, args: [] }, { isDelegated: false, args: [] }],
  ['with an empty object for args', { isDelegated: false, args: {} }, { isDelegated: false, args: {} }],
  ['with text for args', { isDelegated: false, args: '' }, { isDelegated: false, args: '' }],
])("on the host's path an approval %s has them like that", async (_what, call, expected) => {
  const id = await execution(1, { metadata: { pendingToolApproval: { toolCallId: 'c', toolName: 't', ...call } } });
  const { updatedAt, ...approval } = (await askAsHost()).body.approval;
  expect(approval).toEqual({ toolCallId: 'c', toolName: 't', workflowRunId: id, ...expected });
});

test.each([undefined, null, 'false', 0])(
  "on the host's path an approval whose isDelegated is %p is none",
  async (isDelegated) => {
    await execution(1, {
      metadata: { pendingToolApproval: { toolCallId: 'c', toolName: 't', args: {}, isDelegated } },
    });
    expect((await askAsHost()).body).toEqual({ hasPending: false });
  },
);

test("the host's path wants tenant and project from credential or header, and keeps tenants apart", async () => {
  const id = await execution(10);
  await execution(5, { tenantId: 'globex' });
  const project = { 'x-inkeep-project-id': 'support' };
  const acme = await world.lapse.createKey('viewer', 'acme');

  expect((await askAsHost(acme, {})).body.detail).toBe('header.x-inkeep-project-id: is required');
  expect((await askAsHost(ADMIN_KEY, project)).body.detail).toMatch(/must name the tenant/);
  expect((await askAsHost(ADMIN_KEY, { ...project, 'x-inkeep-tenant-id': 'acme' })).body.approval.workflowRunId).toBe(
    id,
  );
  const foreign = await askAsHost(acme, { ...project, 'x-inkeep-tenant-id': 'globex' });
  expect([foreign.status, foreign.body.detail]).toEqual([404, 'There is no such tenant']);
  expect((await askAsHost(acme, { 'x-inkeep-project-id': 'sales' })).status).toBe(404);
  expect((await askAsHost(await world.lapse.createKey('viewer', 'globex'))).status).toBe(404);
  expect((await world.lapse.send('GET', ORIGINAL, acme, undefined, { 'x-inkeep-project-id': 'sales' })).status).toBe(
    404,
  );
  expect((await world.lapse.send('GET', ORIGINAL, acme, undefined, project)).status).toBe(200);
});

test("the host's path answers errors as the host does", async () => {
  const globex = await world.lapse.createKey('viewer', 'globex');
  const tooLong = await askAsHost(ADMIN_KEY, { 'x-inkeep-project-id': 'x'.repeat(257) });
  for (const [answer, status, code, title, detail] of [
    [
      await askAsHost('wrong'),
      401,
      'unauthorized',
      'Unauthorized',
      'Send a valid credential as "Authorization: Bearer <key>"',
    ],
    [await askAsHost(globex), 404, 'not_found', 'Not Found', 'There is no such conversation'],
    [tooLong, 400, 'bad_request', 'Bad Request', expect.stringMatching(/^header.x-inkeep-project-id: must be text/)],
  ] as const) {
    expect(answer.headers.get('content-type')).toMatch('application/problem+json');
    expect(answer.body).toEqual({ code, title, status, detail, error: { code, message: expect.any(String) } });
    expect(answer.body.error.message).toBe(
      answer.body.detail.length > 100 ? `${answer.body.detail.slice(0, 97)}...` : answer.body.detail,
    );
  }
  expect(tooLong.body.error.message).toHaveLength(100);
});

test("the original service's path wants a project, and of the platform's credentials a tenant", async () => {
  const key = await world.lapse.createKey('viewer', 'acme');
  expect((await world.lapse.get(ORIGINAL.split('?')[0] as string, key)).body.error).toMatch(/query\.projectId/);
  expect((await world.lapse.get(ORIGINAL)).body.error).toMatch(/x-tenant-id: must name the tenant/);
  const narrowed = await world.lapse.send('GET', ORIGINAL, ADMIN_KEY, undefined, { 'x-tenant-id': 'acme' });
  expect(narrowed.body).toEqual({ hasPending: false });
});
