import http from 'node:http';
import { expect, test } from '@jest/globals';
import { eventually } from './support/eventually.js';
import { ADMIN_KEY, Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld({ LAPSE_TRUSTED_PROXIES: 'loopback' });
const NO_SUCH_ID = '01890000-0000-7000-8000-000000000000';

let address = 0;
function get(path: string, key: string | null, headers: Record<string, string> = {}) {
  address += 1;
  return world.lapse.send('GET', path, key, undefined, { 'x-forwarded-for': `10.3.0.${address}`, ...headers });
}

test.each([
  ['no header', {}],
  ['another scheme', { authorization: `Basic ${ADMIN_KEY}` }],
  ['no key', { authorization: 'Bearer ' }],
  ['two keys', { authorization: `Bearer ${ADMIN_KEY} ${ADMIN_KEY}` }],
  ['the key in another case', { authorization: `Bearer ${ADMIN_KEY.toUpperCase()}` }],
  ['a longer key', { authorization: `Bearer ${ADMIN_KEY}0` }],
  ['a shorter key', { authorization: `Bearer ${ADMIN_KEY.slice(0, -1)}` }],
])('%s is answered with 401 and nothing more', async (_what, headers) => {
  const { status, body, headers: answered } = await get('/v1/sweeps', null, headers as Record<string, string>);
  expect(status).toBe(401);
  expect(answered.get('www-authenticate')).toBe('Bearer');
  expect(body).toMatchObject({
    code: 'unauthenticated',
    detail: 'Send a valid credential as "Authorization: Bearer <key>"',
  });
});

test('two Authorization headers open nothing, though each would', async () => {
  const { hostname, port } = new URL(world.lapse.url);
  const headers = ['Host', 'lapse', 'Authorization', `Bearer ${ADMIN_KEY}`, 'Authorization', `Bearer ${ADMIN_KEY}`];
  const status = await new Promise((resolve, reject) => {
    http
      .get({ hostname, port, path: '/v1/sweeps', headers }, (response) => resolve(response.resume().statusCode))
      .on('error', reject);
  });
  expect(status).toBe(401);
});

test('a key is shown once, listed without its secret, and opens nothing once it is revoked', async () => {
  const { lapse, host } = world;
  const { status, body: created } = await lapse.post('/v1/api-keys', {
    name: 'report',
    role: 'viewer',
    tenantId: 'acme',
  });
  expect(status).toBe(201);
  expect(created.key).toMatch(/^lapse_[0-9A-Za-z]{16}_[0-9A-Za-z]{38}$/);
  const secret = created.key.split('_')[2];

  const { items } = (await lapse.get('/v1/api-keys')).body;
  expect(JSON.stringify(items)).not.toContain(secret);
  const { rows } = await host.pool.query(
    `SELECT row_to_json(k)::text AS row FROM lapse.api_keys k
      UNION ALL SELECT row_to_json(a)::text FROM lapse.audit_log a`,
  );
  expect(rows.map(({ row }) => row).join()).not.toContain(secret);

  expect((await get('/v1/sweeps', created.key)).status).toBe(200);
  expect((await lapse.delete(`/v1/api-keys/${created.id}`)).status).toBe(204);
  expect((await lapse.delete(`/v1/api-keys/${created.id}`)).status).toBe(204);
  expect((await get('/v1/sweeps', created.key)).status).toBe(401);
});

test('a key that is revoked on one replica opens nothing on another within 5 seconds', async () => {
  const { lapse, databaseUrl } = world;
  const other = await Lapse.start(databaseUrl, { LAPSE_TRUSTED_PROXIES: 'loopback' });
  const { id, key } = (await lapse.post('/v1/api-keys', { name: 'shared', role: 'viewer' })).body;
  expect((await other.get('/v1/sweeps', key)).status).toBe(200);

  await lapse.delete(`/v1/api-keys/${id}`);

  await eventually(
    () => other.get('/v1/sweeps', key),
    ({ status }) => status === 401,
    5_000,
  );
  await other.stop();
});

test.each([
  ['an expired key', `UPDATE lapse.api_keys SET expires_at = now() - interval '1 second' WHERE public_id = $1`],
  ['a key whose secret was changed', `UPDATE lapse.api_keys SET secret_hash = sha256('other') WHERE public_id = $1`],
  ['a key that was deleted', 'DELETE FROM lapse.api_keys WHERE public_id = $1'],
])('%s opens nothing', async (_what, change) => {
  const { lapse, host } = world;
  const key = await lapse.createKey('viewer', 'acme');
  await host.pool.query(change, [key.split('_')[1]]);
  expect((await get('/v1/sweeps', key)).status).toBe(401);
});

test('a key with a typo, or with a right checksum and a wrong secret, opens nothing', async () => {
  const key = await world.lapse.createKey('viewer', 'acme');
  const other = await world.lapse.createKey('viewer', 'acme');
  const [, publicId] = key.split('_');
  for (const wrong of [
    key.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
    key.slice(0, -1),
    key.toLowerCase(),
    `lapse_${publicId}_${other.split('_')[2]}`,
  ]) {
    expect((await get('/v1/sweeps', wrong)).status).toBe(401);
  }
  expect((await get('/v1/sweeps', key)).status).toBe(200);
});

test('that a key is used is noted, once a minute at most', async () => {
  const { lapse, host } = world;
  const key = await lapse.createKey('viewer', 'acme');
  const noted = async () =>
    (
      await host.pool.query(
        'SELECT last_used_at::text AS at, xmin::text AS version FROM lapse.api_keys WHERE public_id = $1',
        [key.split('_')[1]],
      )
    ).rows[0];
  expect((await noted()).at).toBeNull();

  await get('/v1/sweeps', key);
  const first = await noted();
  const other = await Lapse.start(world.databaseUrl);
  await other.get('/v1/sweeps', key);
  await other.stop();

  expect(first.at).not.toBeNull();
  expect(await noted()).toEqual(first);
});

test("a tenant's admin makes, sees and revokes keys of its own tenant alone, and none above its role", async () => {
  const { lapse } = world;
  const admin = await lapse.createKey('admin', 'acme');
  const foreign = (await lapse.post('/v1/api-keys', { name: 'foreign', role: 'viewer', tenantId: 'globex' })).body;

  const own = await lapse.post('/v1/api-keys', { name: 'own', role: 'viewer' }, admin);

  expect(own.body.tenantId).toBe('acme');
  expect((await lapse.post('/v1/api-keys', { name: 'x', role: 'viewer', tenantId: 'globex' }, admin)).status).toBe(404);
  expect((await lapse.post('/v1/api-keys', { name: 'x', role: 'end-user' }, admin)).status).toBe(400);
  const { items } = (await lapse.get('/v1/api-keys?limit=500', admin)).body;
  expect(new Set(items.map(({ tenantId }: { tenantId: string }) => tenantId))).toEqual(new Set(['acme']));
  expect((await lapse.delete(`/v1/api-keys/${foreign.id}`, admin)).status).toBe(404);
  expect((await lapse.delete(`/v1/api-keys/${NO_SUCH_ID}`, admin)).status).toBe(404);
  expect((await get('/v1/sweeps', foreign.key)).status).toBe(200);
});

test('the last admin key of the platform can go: LAPSE_ADMIN_KEY remains', async () => {
  const { lapse } = world;
  const { id, key } = (await lapse.post('/v1/api-keys', { name: 'last', role: 'admin' })).body;
  expect((await lapse.delete(`/v1/api-keys/${id}`, key)).status).toBe(204);
  expect((await get('/v1/sweeps', key)).status).toBe(401);
  expect((await lapse.get('/v1/api-keys')).status).toBe(200);
});

test.each([
  ['2026-02-30T00:00:00Z', 'must be an RFC 3339 time'],
  ['2099-02-29T00:00:00Z', 'must be an RFC 3339 time'],
  ['2099-01-01T00:00:00+23:59', 'must be an RFC 3339 time'],
  ['9999-12-31T23:59:59-01:00', 'must be an RFC 3339 time'],
  ['2020-01-01T00:00:00Z', 'must be in the future'],
  ['0001-01-01T00:00:00Z', 'must be in the future'],
])('a key that expires at %s is refused, and is not made', async (expiresAt, message) => {
  const { lapse, host } = world;
  const count = async () => (await host.pool.query('SELECT count(*)::int FROM lapse.api_keys')).rows[0].count;
  const before = await count();
  const { status, body } = await lapse.post('/v1/api-keys', { name: 'x', role: 'viewer', expiresAt });
  expect([status, body.errors[0].path, body.errors[0].message]).toEqual([
    400,
    'body.expiresAt',
    expect.stringMatching(message),
  ]);
  expect(await count()).toBe(before);
});

test('moments beyond RFC 3339 are shown as the nearest that it can write, in every list', async () => {
  const { lapse, host } = world;
  const at = (moment: string) => `timestamptz '${moment}'`;
  for (const [first, last] of [
    ['-infinity', 'infinity'],
    ['4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999'],
    ['0001-01-01 00:00:00+14', '9999-12-31 23:59:59.9999-12'],
  ] as const) {
    const [early, late] = [at(first), at(last)];
    await host.clear();
    await host.pool.query(`
      TRUNCATE lapse.api_keys, lapse.audit_log;
      INSERT INTO lapse.api_keys (public_id, secret_hash, name, role, created_by, created_at, expires_at, last_used_at, revoked_at)
      VALUES ('x', sha256(''), 'x', 'viewer', 'x', ${early}, ${late}, ${early}, ${late});
      INSERT INTO lapse.audit_log (at, principal_kind, address, action, outcome, request_id, details)
      VALUES (${early}, 'x', 'x', 'x', 'done', 'x', '{}');
      INSERT INTO lapse.sweeps (trigger, dry_run, timeout_seconds, requested_by, lock_name, status, cutoff, started_at, finished_at)
      VALUES ('api', false, 60, 'x', 'sweep', 'succeeded', ${early}, ${early}, ${late});
      INSERT INTO lapse.failures (tenant_id, project_id, execution_id, last_reason, sqlstate, last_sweep_id, first_failed_at, last_failed_at, next_try_at)
      VALUES ('x', 'x', 'x', 'x', 'P0001', gen_random_uuid(), ${early}, ${late}, ${late})`);
    const [FIRST, LAST] = ['0001-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z'];
    for (const [path, expected] of Object.entries({
      '/v1/api-keys': { createdAt: FIRST, expiresAt: LAST, lastUsedAt: FIRST, revokedAt: LAST },
      '/v1/audit-log': { at: FIRST },
      '/v1/sweeps': { cutoff: FIRST, startedAt: FIRST, finishedAt: LAST },
      '/v1/failures': { firstFailedAt: FIRST, lastFailedAt: LAST, nextTryAt: LAST },
    })) {
      const { status, body } = await lapse.get(path);
      expect([path, status, body.items?.[0]]).toEqual([path, 200, expect.objectContaining(expected)]);
    }
  }
});
