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
