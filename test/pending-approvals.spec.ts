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
