import { expect, test } from '@jest/globals';
import { eventually } from './support/eventually.js';
import { ADMIN_KEY, CRON_SECRET, Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const CLEANUP = '/run/api/workflows/cleanup-stale';
const CRON = '/api/cron/cleanup-stale-workflows';

const world = useWorld({ LAPSE_SWEEP_BATCH_SIZE: '20', LAPSE_APPROVAL_TIMEOUT: '10m' });

test('by default the 100 oldest are cleaned up that are overdue by the configured timeout', async () => {
  const { host, lapse } = world;
  await host.suspendMany(120, 11);
  await host.suspend({ minutes: 9, id: 'young' });

  const { status, body } = await lapse.post(CLEANUP);

  expect(status).toBe(200);
  expect(body).toEqual({ cleanedUp: 100, failed: 0, total: 100 });
  expect((await host.find('1')).status).toBe('failed');
  expect((await host.find('120')).status).toBe('suspended');
  expect((await host.find('young')).status).toBe('suspended');
});

test('the body may bring timeout and limit', async () => {
  const { host, lapse } = world;
  await host.suspendMany(10, 6);

  expect((await lapse.post(CLEANUP, { timeoutMinutes: 5, limit: 4 })).body).toEqual({
    cleanedUp: 4,
    failed: 0,
    total: 4,
  });
  expect((await lapse.post(CLEANUP, { timeoutMinutes: 5, limit: 1000 })).body.cleanedUp).toBe(6);
  expect((await lapse.post(CLEANUP, { timeoutMinutes: 5 })).body).toEqual({ cleanedUp: 0, failed: 0, total: 0 });
});

test.each([
  ...[0, 1001, -1, 1.5, '10', null, true].map((limit) => ({ limit })),
  ...[7, '', null, ['acme'], {}].map((tenantId) => ({ tenantId })),
  ...[0, -1, 1.5, '5', '', null, true, [5], {}, 5_256_001].map((timeoutMinutes) => ({ timeoutMinutes })),
])('%j is refused, and nothing is cleaned up', async (sent) => {
  const { host, lapse } = world;
  await host.suspendMany(1, 31);

  const { status, body } = await lapse.post(CLEANUP, sent);

  expect(status).toBe(400);
  expect(body).toEqual({ error: expect.stringContaining(`body.${Object.keys(sent)[0]}`) });
  expect(await host.count('suspended')).toBe(1);
});

test('a configured timeout of hours is not shortened', async () => {
  const { host } = world;
  const lapse = await Lapse.start(world.databaseUrl, { LAPSE_APPROVAL_TIMEOUT: '2h' });
  await host.suspendMany(4, 119);
  await host.suspend({ minutes: 121, id: 'overdue' });

  expect((await lapse.post(CLEANUP, { limit: 10 })).body).toEqual({ cleanedUp: 1, failed: 0, total: 1 });
  expect((await host.find('overdue')).status).toBe('failed');
  await lapse.stop();
});

test('members that only the original knows are passed over', async () => {
  const { host, lapse } = world;
  await host.suspendMany(3, 11);
  const text = '{"dryRun": true, "reason": 7, "__proto__": {"limit": 0}, "constructor": 1, "limit": 2}';
  expect((await lapse.send('POST', CLEANUP, ADMIN_KEY, text)).body.cleanedUp).toBe(2);
});

test('the headers of the host narrow what a credential reaches, and never widen it', async () => {
  const { host, lapse } = world;
  const key = await lapse.createKey('operator', 'acme');
  for (const tenantId of ['acme', 'globex', 'initech']) {
    await host.suspend({ tenantId, projectId: 'support', minutes: 31, id: 'a' });
    await host.suspend({ tenantId, projectId: 'sales', minutes: 31, id: 'b' });
  }
  const send = (headers: Record<string, string>, credential: string, [method, path] = ['POST', CLEANUP]) =>
    lapse.send(method as string, path as string, credential, method === 'POST' ? '{}' : undefined, headers);

  for (const headers of [{ 'x-inkeep-tenant-id': 'globex' }, { 'x-inkeep-tenant-id': 'nobody' }]) {
    const { status, body } = await send(headers, key);
    expect([status, body]).toEqual([404, { error: 'There is no such tenant' }]);
  }
  expect((await send({ 'x-inkeep-tenant-id': 'acme', 'x-tenant-id': 'globex' }, ADMIN_KEY)).status).toBe(404);
  expect((await send({ 'x-inkeep-tenant-id': '' }, ADMIN_KEY)).status).toBe(400);
  expect((await send({ 'x-inkeep-project-id': 'x'.repeat(257) }, ADMIN_KEY)).status).toBe(400);
  expect(await host.count('failed')).toBe(0);

  expect((await send({ 'x-inkeep-project-id': 'sales' }, key)).body.cleanedUp).toBe(1);
  expect((await send({ 'x-inkeep-tenant-id': 'acme' }, key)).body.cleanedUp).toBe(1);
  expect(
    (await send({ 'x-inkeep-tenant-id': 'globex', 'x-inkeep-project-id': 'sales' }, ADMIN_KEY)).body.cleanedUp,
  ).toBe(1);
  expect((await send({ 'x-inkeep-project-id': 'sales' }, CRON_SECRET, ['GET', CRON])).body.cleanedUp).toBe(1);
  expect((await send({ 'x-inkeep-tenant-id': 'globex' }, CRON_SECRET, ['GET', CRON])).body.cleanedUp).toBe(1);
  expect(await host.count('suspended')).toBe(1);
});

test('a caller of one tenant may send no body at all', async () => {
  const { host, lapse } = world;
  await host.suspendMany(2, 31);
  await host.suspendMany(2, 31, 'globex');
  const key = await lapse.createKey('operator', 'acme');
  expect((await lapse.send('POST', CLEANUP, key)).body.cleanedUp).toBe(2);
  const narrowed = await lapse.send('POST', CLEANUP, ADMIN_KEY, undefined, { 'x-inkeep-tenant-id': 'globex' });
  expect(narrowed.body.cleanedUp).toBe(2);
});

test("a tenant's credential cleans up its own tenant alone", async () => {
  const { host, lapse } = world;
  const key = await lapse.createKey('operator', 'acme');
  await host.suspendMany(2, 31, 'acme');
  await host.suspendMany(2, 31, 'globex');

  expect((await lapse.post(CLEANUP, undefined, key)).body).toEqual({ cleanedUp: 2, failed: 0, total: 2 });
  expect((await host.find('1', 'globex')).status).toBe('suspended');
});

test('no credential or a wrong one is answered in the words of the original, without touching a row', async () => {
  const { host, lapse } = world;
  await host.suspendMany(1, 31);

  for (const key of [null, 'wrong', CRON_SECRET, `${ADMIN_KEY}x`]) {
    const { status, body } = await lapse.send('POST', CLEANUP, key);
    expect(status).toBe(401);
    expect(Object.keys(body)).toEqual(['error']);
  }
  expect(await host.count('suspended')).toBe(1);
});

test("a viewer's key is refused", async () => {
  const { lapse } = world;
  const { status, body } = await lapse.post(CLEANUP, undefined, await lapse.createKey('viewer', 'acme'));
  expect([status, Object.keys(body)]).toEqual([403, ['error']]);
});

test('a body that is no JSON is answered in the words of the original', async () => {
  const { lapse } = world;
  const { status, body } = await lapse.send('POST', CLEANUP, ADMIN_KEY, '{"limit":');
  expect([status, Object.keys(body)]).toEqual([400, ['error']]);
});

test('the cron route cleans up the 100 oldest of every tenant by the configured timeout', async () => {
  const { host, lapse } = world;
  await host.suspendMany(60, 11, 'acme');
  await host.suspendMany(60, 12, 'globex');

  const { status, body } = await lapse.get(CRON, CRON_SECRET);

  expect(status).toBe(200);
  expect(body).toEqual({ ok: true, cleanedUp: 100, failed: 0, total: 100 });
  expect((await host.find('60', 'globex')).status).toBe('failed');
  expect(await host.count('suspended')).toBe(20);
});

test('nothing but the cron secret opens the cron route, and it opens nothing else', async () => {
  const { host, lapse } = world;
  await host.suspendMany(1, 31);

  for (const key of [null, ADMIN_KEY, await lapse.createKey('admin'), 'wrong', '']) {
    expect((await lapse.send('GET', CRON, key)).status).toBe(401);
  }
  expect((await lapse.get('/v1/sweeps', CRON_SECRET)).status).toBe(401);
  expect(await host.count('suspended')).toBe(1);
});

test("without a secret the cron route says that it is closed; the host's name for the secret opens it too", async () => {
  const closed = await Lapse.start(world.databaseUrl, { CRON_SECRET: '' });
  for (const key of [null, ADMIN_KEY, CRON_SECRET]) {
    const { status, body } = await closed.send('GET', CRON, key);
    expect([status, body]).toEqual([401, { error: expect.stringContaining('closed, because CRON_SECRET is not set') }]);
  }
  await closed.stop();

  const secret = 'bypass-secret-of-the-host';
  const shared = await Lapse.start(world.databaseUrl, { CRON_SECRET: '', INKEEP_AGENTS_RUN_API_BYPASS_SECRET: secret });
  expect((await shared.get(CRON, secret)).status).toBe(200);
  expect((await shared.get('/v1/sweeps', secret)).status).toBe(401);
  await shared.stop();

  for (const other of [secret, 'short']) {
    const both = await Lapse.start(world.databaseUrl, { INKEEP_AGENTS_RUN_API_BYPASS_SECRET: other });
    expect((await both.get(CRON, CRON_SECRET)).status).toBe(200);
    expect((await both.send('GET', CRON, other)).status).toBe(401);
    await both.stop();
  }
});

test('a call answers zero counts if a running sweep covers it, and 503 if a narrower one is in its way', async () => {
  const { host, lapse } = world;
  const key = await lapse.createKey('operator', 'acme');
  await host.suspendMany(700, 31);
  await host.slowDown(0.06);
  const answers = async (body: object) => {
    const { body: running } = await lapse.post('/v1/sweeps?wait=0', body, key);
    const { status, body: answer } = await lapse.post(CLEANUP, undefined, key);
    await lapse.post(`/v1/sweeps/${running.id}/cancel`, undefined, key);
    await eventually(
      () => lapse.get(`/v1/sweeps/${running.id}`),
      (found) => found.body.status !== 'running',
    );
    return [status, answer];
  };

  expect(await answers({})).toEqual([200, { cleanedUp: 0, failed: 0, total: 0 }]);
  expect(await answers({ agentId: 'refund-agent' })).toEqual([503, { error: expect.stringContaining('narrower') }]);
  await host.speedUp();
}, 60_000);

test('a call whose sweep failed does not answer 200', async () => {
  const { host, lapse } = world;
  await host.suspendMany(3, 31);
  await host.pool.query(
    `CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'closed for maintenance'; END $$;
     CREATE TRIGGER closed BEFORE UPDATE ON workflow_executions FOR EACH STATEMENT EXECUTE FUNCTION closed()`,
  );

  const answers = [await lapse.get(CRON, CRON_SECRET), await lapse.post(CLEANUP)];
  await host.pool.query('DROP FUNCTION closed() CASCADE');

  for (const { status, body } of answers) {
    expect([status, body]).toEqual([500, { error: expect.stringContaining('closed for maintenance') }]);
  }
  expect(await host.count('suspended')).toBe(3);
});

test('a requested sweep while another of its scope runs is refused with the holder of the lock', async () => {
  const { lapse } = world;
  const { AdvisoryLockService } = await import('../src/locks/advisory-lock.service.js');
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const holding = lapse.app.get(AdvisoryLockService).withLock({ name: 'sweep', onBusy: 'skip' }, () => held);

  const refused = await lapse.post('/v1/sweeps');
  release();
  await holding;

  expect(refused.status).toBe(409);
  expect(refused.body).toMatchObject({
    code: 'sweep_running',
    detail: expect.stringMatching(/held by "lapse .+\/\d+ sweep" since/),
  });
});
