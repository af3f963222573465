import { afterEach, expect, test } from '@jest/globals';
import { ADMIN_KEY, CRON_SECRET, Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld({ LAPSE_TRUSTED_PROXIES: 'loopback' });
afterEach(() => world.host.pool.query('TRUNCATE lapse.audit_log'));

const NO_SUCH_ID = '01890000-0000-7000-8000-000000000000';
const FROM_AFAR = { 'x-forwarded-for': '203.0.113.9', 'x-request-id': 'req-1' };

const records = async (filter = '', key = ADMIN_KEY) =>
  (await world.lapse.get(`/v1/audit-log${filter}`, key)).body.items;

test('who did what, to what, from where and with what is on record together with what was done', async () => {
  const { lapse } = world;
  const key = await lapse.createKey('operator', 'acme');
  const { body: sweep } = await lapse.send('POST', '/v1/sweeps', key, '{"dryRun":true,"reason":"to see"}', FROM_AFAR);

  const [record] = await records('?action=sweep.request');

  expect(record).toEqual({
    id: expect.any(String),
    at: expect.stringMatching(/Z$/),
    tenantId: 'acme',
    principalKind: 'api-key',
    principalId: `api-key:${key.split('_')[1]}`,
    address: '203.0.113.9',
    action: 'sweep.request',
    target: sweep.id,
    outcome: 'done',
    code: null,
    requestId: 'req-1',
    details: { projectId: null, agentId: null, timeoutSeconds: 1800, limit: null, dryRun: true, reason: 'to see' },
  });
});

test('every kind of change is on record, a sweep of the schedule is not', async () => {
  const { lapse } = world;
  const { id } = (await lapse.post('/v1/api-keys', { name: 'x', role: 'viewer', tenantId: 'acme' })).body;
  await lapse.delete(`/v1/api-keys/${id}`);
  await lapse.post('/run/api/workflows/cleanup-stale', {});
  await lapse.get('/api/cron/cleanup-stale-workflows', CRON_SECRET);
  const told = (await records()).map(({ action, principalId, tenantId, target }: Record<string, string>) =>
    [action, principalId, tenantId, target === id ? 'the key' : 'a sweep'].join(' '),
  );
  expect(told).toEqual([
    'sweep.request cron-secret  a sweep',
    'sweep.request admin-key  a sweep',
    'api-key.revoke admin-key  the key',
    'api-key.create admin-key acme the key',
  ]);
});

test('what was refused is on record with the reason, and nothing of what was sent', async () => {
  const { lapse } = world;
  const viewer = await lapse.createKey('viewer', 'acme');
  await world.host.pool.query('TRUNCATE lapse.audit_log');
  await lapse.send('POST', '/v1/sweeps', 'secret-guess', '{}', FROM_AFAR);
  await lapse.post('/v1/sweeps', {}, viewer);
  await lapse.post('/v1/api-keys', { name: 'x', role: 'viewer', password: 'hunter2' });
  await lapse.post(`/v1/sweeps/${NO_SUCH_ID}/cancel`);
  await lapse.post('/v1/sweeps', { tenantId: 'globex' }, await lapse.createKey('operator', 'acme'));

  const refused = await records('?outcome=refused');

  expect(
    refused.map(({ action, code, principalKind, tenantId, target }: Record<string, string>) => [
      action,
      code,
      principalKind,
      tenantId,
      target,
    ]),
  ).toEqual([
    ['sweep.request', 'tenant_not_found', 'api-key', 'acme', null],
    ['sweep.cancel', 'sweep_not_found', 'admin-key', null, NO_SUCH_ID],
    ['api-key.create', 'invalid_input', 'admin-key', null, null],
    ['sweep.request', 'role_missing', 'api-key', 'acme', null],
    ['sweep.request', 'unauthenticated', 'nobody', null, null],
  ]);
  expect(JSON.stringify(refused)).not.toMatch(/hunter2|secret-guess|globex/);
});

test('where the record can not be written, nothing is done', async () => {
  const { lapse, host } = world;
  await host.suspendMany(3, 31);
  await host.pool.query(`ALTER TABLE lapse.audit_log ADD CONSTRAINT full_disk CHECK (action = 'x') NOT VALID`);

  const [sweep, key] = [
    await lapse.post('/v1/sweeps', {}),
    await lapse.post('/v1/api-keys', { name: 'x', role: 'viewer' }),
  ];
  await host.pool.query('ALTER TABLE lapse.audit_log DROP CONSTRAINT full_disk');

  expect([sweep.status, key.status]).toEqual([500, 500]);
  expect(await host.count('suspended')).toBe(3);
  expect((await lapse.get('/v1/sweeps')).body.items).toEqual([]);
  const { rows } = await host.pool.query(`SELECT FROM lapse.api_keys WHERE name = 'x' AND revoked_at IS NULL`);
  expect(rows).toEqual([]);
});

test('an admin of a tenant reads what concerns its tenant alone', async () => {
  const { lapse } = world;
  const [acme, globex] = [await lapse.createKey('admin', 'acme'), await lapse.createKey('admin', 'globex')];
  await lapse.post('/v1/sweeps', {}, acme);
  await lapse.post('/v1/sweeps', {}, globex);
  await lapse.post('/v1/sweeps', { tenantId: 'acme' });
  await lapse.post('/v1/sweeps', {});

  const tenantsOf = (items: { tenantId: string }[]) => new Set(items.map(({ tenantId }) => tenantId));
  expect(tenantsOf(await records('', acme))).toEqual(new Set(['acme']));
  expect(tenantsOf(await records('', globex))).toEqual(new Set(['globex']));
  expect((await lapse.get('/v1/audit-log?tenantId=globex', acme)).status).toBe(404);
  expect(
    (await records('?action=sweep.request', acme)).map(({ principalKind }: { principalKind: string }) => principalKind),
  ).toEqual(['admin-key', 'api-key']);
});

test('the log can be filtered, and read page by page', async () => {
  const { lapse } = world;
  for (let time = 0; time < 5; time += 1) {
    await lapse.send('POST', '/v1/sweeps', ADMIN_KEY, '{}', { 'x-request-id': `req-${time}` });
  }
  const seen: string[] = [];
  let cursor = '';
  do {
    const { body } = await lapse.get(`/v1/audit-log?limit=2&principalId=admin-key${cursor}`);
    seen.push(...body.items.map(({ requestId }: { requestId: string }) => requestId));
    cursor = body.nextCursor ? `&cursor=${body.nextCursor}` : '';
  } while (cursor);
  expect(seen).toEqual(['req-4', 'req-3', 'req-2', 'req-1', 'req-0']);
  expect(await records('?requestId=req-3')).toHaveLength(1);
  expect(await records('?requestId=req-9')).toEqual([]);
  expect((await lapse.get('/v1/audit-log?outcome=maybe')).body.errors[0].path).toBe('query.outcome');
});

test('a flood that is held up is on record once', async () => {
  const lapse = await Lapse.start(world.databaseUrl, { LAPSE_RATE_LIMIT: '2' });
  for (let time = 0; time < 5; time += 1) {
    await lapse.post('/v1/sweeps', {});
  }
  for (let time = 0; time < 25; time += 1) {
    await lapse.post('/v1/sweeps', {}, 'wrong');
  }
  await lapse.stop();
  const codes = (await records()).map(({ code }: { code: string | null }) => code ?? 'done');
  expect(codes.filter((code: string) => code === 'too_many_requests')).toHaveLength(1);
  expect(codes.filter((code: string) => code === 'too_many_failures')).toHaveLength(1);
  expect(codes.filter((code: string) => code === 'unauthenticated')).toHaveLength(1);
});
