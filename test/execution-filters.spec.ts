import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { APPROVAL } from './support/host.js';
import { Lapse } from './support/lapse.js';
import { roleOfLapse } from './support/people.js';
import { useWorld } from './support/world.js';

const world = useWorld();
const cleanups: (() => Promise<unknown>)[] = [];
beforeEach(() => world.host.pool.query('TRUNCATE conversations'));
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

interface Item {
  tenantId: string;
  projectId: string;
  id: string;
  status: string;
}

/** The ids of what is found, over all pages. */
async function find(query: string, key?: string): Promise<string[]> {
  return (await findItems(query, key)).map(({ id }) => id);
}

async function findItems(query: string, key?: string): Promise<Item[]> {
  const items: Item[] = [];
  let cursor = '';
  do {
    const { status, body } = await world.lapse.get(`/v1/executions?${query}${cursor}`, key);
    expect([status, body.errors]).toEqual([200, undefined]);
    items.push(...body.items);
    cursor = body.nextCursor ? `&cursor=${body.nextCursor}` : '';
  } while (cursor);
  return items;
}

const places = (items: Item[]) => items.map(({ tenantId, projectId }) => `${tenantId}/${projectId}`);

const waitingFor = (toolName: string) => ({
  metadata: { ...APPROVAL, pendingToolApproval: { ...APPROVAL.pendingToolApproval, toolName } },
});

/** Puts an execution there in a conversation of a user's. */
async function inConversation(id: string, conversationId: string, userId: string | null, tenantId = 'acme') {
  await world.host.suspend({ id, minutes: 5, tenantId });
  await world.host.pool.query('UPDATE workflow_executions SET conversation_id = $2 WHERE id = $1 AND tenant_id = $3', [
    id,
    conversationId,
    tenantId,
  ]);
  await world.host.pool.query(
    `INSERT INTO conversations (tenant_id, project_id, id, user_id) VALUES ($1, 'support', $2, $3) ON CONFLICT DO NOTHING`,
    [tenantId, conversationId, userId],
  );
}

describe('an execution is found by its id alone', () => {
  test('in every tenant and project that has one, whatever its status', async () => {
    const { host } = world;
    await host.suspend({ id: 'x', minutes: 1, tenantId: 'globex' });
    await host.suspend({ id: 'x', minutes: 1, projectId: 'sales', status: 'completed' });
    await host.suspend({ id: 'x', minutes: 40, tenantId: 'acme' });
    for (const id of ['w', 'x1', 'y', 'X']) {
      await host.suspend({ id, minutes: 1 });
      await host.suspend({ id, minutes: 1, tenantId: 'initech' });
    }

    const found = await findItems('id=x');

    expect(places(found)).toEqual(['acme/sales', 'acme/support', 'globex/support']);
    expect(found.map(({ status }) => status)).toEqual(['completed', 'suspended', 'suspended']);
    expect(places(await findItems('id=x&limit=1'))).toEqual(places(found));
    expect(places(await findItems('id=x&status=completed'))).toEqual(['acme/sales']);
    expect(places(await findItems('id=x&overdue=true'))).toEqual(['acme/support']);
    expect(places(await findItems('id=x&projectId=support&limit=1'))).toEqual(['acme/support', 'globex/support']);
    expect(await find('id=nobody')).toEqual([]);
  });

  test('by a tenant among its own executions alone', async () => {
    await world.host.suspend({ id: 'x', minutes: 1 });
    await world.host.suspend({ id: 'x', minutes: 1, tenantId: 'globex' });
    await world.host.suspend({ id: 'theirs', minutes: 1, tenantId: 'globex' });
    const key = await world.lapse.createKey('viewer', 'acme');

    expect(places(await findItems('id=x', key))).toEqual(['acme/support']);
    expect(places(await findItems('id=x&limit=1', key))).toEqual(['acme/support']);
    expect(await find('id=theirs', key)).toEqual([]);
    expect(places(await findItems('id=x&tenantId=globex'))).toEqual(['globex/support']);
    expect((await world.lapse.get('/v1/executions?id=x&tenantId=globex', key)).status).toBe(404);
  });

  test('among more projects than one page searches', async () => {
    await world.host.pool.query(
      `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status)
       SELECT 'tenant-' || lpad(n::text, 5, '0'), 'support', CASE WHEN n IN (3, 5001, 11999) THEN 'rare' ELSE 'usual' END,
              'a', 'c', 'running'
         FROM generate_series(1, 12000) n`,
    );
    const first = (await world.lapse.get('/v1/executions?id=rare')).body;
    expect([places(first.items), first.nextCursor === null]).toEqual([['tenant-00003/support'], false]);
    expect(places(await findItems('id=rare'))).toEqual(
      [3, 5001, 11999].map((n) => `tenant-${`${n}`.padStart(5, '0')}/support`),
    );
    expect(await find('id=nobody')).toEqual([]);
  });
});

test('executions are found by the tool that they wait for, as the list shows it', async () => {
  await world.host.suspend({ id: 'refund', minutes: 9 });
  await world.host.suspend({ id: 'mail', minutes: 8, ...waitingFor('send_mail') });
  await world.host.suspend({ id: 'theirs', minutes: 7, tenantId: 'globex', ...waitingFor('send_mail') });
  await world.host.suspend({ id: 'wide', minutes: 6, ...waitingFor('メール🦊') });
  await world.host.suspend({
    id: 'number',
    minutes: 6,
    metadata: { pendingToolApproval: { toolCallId: 'c', toolName: 7 } },
  });
  await world.host.suspend({ id: 'no call', minutes: 6, metadata: { pendingToolApproval: { toolName: 'send_mail' } } });
  await world.host.suspend({ id: 'list', minutes: 6, metadata: ['send_mail'] });
  await world.host.suspend({ id: 'done', minutes: 5, status: 'failed', ...waitingFor('send_mail') });

  expect(await find('toolName=send_mail')).toEqual(['mail', 'theirs']);
  expect(await find('toolName=send_mail&limit=1')).toEqual(['mail', 'theirs']);
  expect(await find(`toolName=${encodeURIComponent('メール🦊')}`)).toEqual(['wide']);
  expect(await find('toolName=7')).toEqual([]);
  expect(await find('toolName=send_mail&status=failed')).toEqual(['done']);
  expect(await find('toolName=send_mail', await world.lapse.createKey('viewer', 'acme'))).toEqual(['mail']);
});

test('executions are found that have waited for longer than a duration', async () => {
  await world.host.suspend({ id: 'day', minutes: 24 * 60 + 1 });
  await world.host.suspend({ id: 'theirs', minutes: 90, tenantId: 'globex' });
  await world.host.suspend({ id: 'hour', minutes: 61 });
  await world.host.suspend({ id: 'young', minutes: 20 });
  await world.host.suspend({ id: 'done', minutes: 90, status: 'completed' });

  expect(await find('waitingLongerThan=1d')).toEqual(['day']);
  expect(await find('waitingLongerThan=1h')).toEqual(['day', 'theirs', 'hour']);
  expect(await find('waitingLongerThan=1h&limit=1')).toEqual(['day', 'theirs', 'hour']);
  expect(await find('waitingLongerThan=10m&overdue=false')).toEqual(['young']);
  expect(await find('waitingLongerThan=3600s&id=hour')).toEqual(['hour']);
  expect(await find('waitingLongerThan=1h', await world.lapse.createKey('viewer', 'acme'))).toEqual(['day', 'hour']);
});

test('executions are found by the end user of their own conversation, never of one of another tenant', async () => {
  await inConversation('mine', 'c1', 'ada');
  await inConversation('other', 'c2', 'bob');
  await inConversation('nobody', 'c3', null);
  await inConversation('theirs', 'c1', 'bob', 'globex');
  await world.host.suspend({ id: 'without', minutes: 1 });

  expect(await find('userId=ada')).toEqual(['mine']);
  expect(await find('userId=bob')).toEqual(['other', 'theirs']);
  expect(await find('userId=bob&limit=1')).toEqual(['other', 'theirs']);
  expect(await find('tenantId=globex&userId=ada')).toEqual([]);
  expect(await find('tenantId=acme&projectId=support&conversationId=c1&userId=ada')).toEqual(['mine']);
  expect(await find('tenantId=globex&projectId=support&conversationId=c1&userId=ada')).toEqual([]);
  expect(await find('conversationId=c1')).toEqual(['mine', 'theirs']);
  expect(await find('id=mine&userId=ada')).toEqual(['mine']);
  expect(await find('id=mine&userId=bob')).toEqual([]);
  const key = await world.lapse.createKey('viewer', 'acme');
  expect(await find('userId=bob', key)).toEqual(['other']);
  expect(await find('conversationId=c1', key)).toEqual(['mine']);
});

describe('where the conversations cannot be read', () => {
  const ask = async (lapse: Lapse, key?: string) => {
    const { status, body } = await lapse.get('/v1/executions?userId=ada', key);
    return [status, body.code, body.detail];
  };

  test('because there are none, a filter by user says so, and every other list works', async () => {
    await world.host.suspend({ id: 'x', minutes: 1 });
    await world.host.pool.query('ALTER TABLE conversations RENAME TO talks');
    cleanups.push(() => world.host.pool.query('ALTER TABLE talks RENAME TO conversations'));

    expect(await ask(world.lapse)).toEqual([
      503,
      'conversations_unreadable',
      expect.stringMatching(
        /userId needs "public".conversations .*"public.conversations" does not exist.* leave userId out/,
      ),
    ]);
    const [, code, detail] = await ask(world.lapse, await world.lapse.createKey('viewer', 'acme'));
    expect([code, detail]).toEqual(['conversations_unreadable', expect.not.stringContaining('public')]);
    expect(await find('toolName=issue_refund')).toEqual(['x']);
  });

  test('because its columns are of other types, it says that too', async () => {
    await world.host.suspend({ id: 'x', minutes: 1 });
    await world.host.pool.query('ALTER TABLE conversations ALTER user_id TYPE integer USING 1');
    cleanups.push(() => world.host.pool.query('ALTER TABLE conversations ALTER user_id TYPE varchar(256)'));

    expect(await ask(world.lapse)).toEqual([
      503,
      'conversations_unreadable',
      expect.stringMatching(/operator does not exist/),
    ]);
  });

  test('because the right is missing, it names the grant', async () => {
    const role = await roleOfLapse(world.databaseUrl);
    cleanups.push(() => role.drop());
    const lapse = await Lapse.start(role.url);
    cleanups.push(() => lapse.stop());

    expect(await ask(lapse)).toEqual([
      503,
      'conversations_unreadable',
      expect.stringMatching(/GRANT SELECT \(tenant_id, project_id, id, user_id\) ON "public".conversations TO/),
    ]);
    await world.host.pool.query(
      `GRANT SELECT (tenant_id, project_id, id, user_id) ON conversations TO ${new URL(role.url).username}`,
    );
    expect((await ask(lapse))[0]).toBe(200);
  });
});

test.each([
  ['waitingLongerThan=soon', 'query.waitingLongerThan'],
  ['waitingLongerThan=1500ms', 'query.waitingLongerThan'],
  ['waitingLongerThan=0s', 'query.waitingLongerThan'],
  ['waitingLongerThan=4000d', 'query.waitingLongerThan'],
  ['waitingLongerThan=1h&status=failed', 'query.waitingLongerThan'],
  ['id=x&status=failed&overdue=true', 'query.overdue'],
  ['id=', 'query.id'],
  [`id=${'x'.repeat(257)}`, 'query.id'],
  ['userId=a%00b', 'query.userId'],
  [`toolName=${'x'.repeat(1001)}`, 'query.toolName'],
])('executions?%s is refused', async (query, path) => {
  const { status, body } = await world.lapse.get(`/v1/executions?${query}`);
  expect([status, body.errors?.[0].path]).toEqual([400, path]);
});
