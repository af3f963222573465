import { expect, test } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { OpenToAll } from '../src/access/access.decorators.js';
import { RouteUndeclaredError } from '../src/access/access.errors.js';
import { RouteDeclarations } from '../src/access/route-declarations.js';
import { ADMIN_KEY, CRON_SECRET } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();
const NO_SUCH_ID = '01890000-0000-7000-8000-000000000000';

type Needs = 'viewer' | 'operator' | 'admin' | 'platform viewer' | 'cron' | 'nothing';

/** What each route needs, and what it answers to somebody who may call it. A route that isn't here fails below. */
const ROUTES: Record<string, [needs: Needs, answer: number]> = {
  'POST /v1/sweeps': ['operator', 200],
  'GET /v1/sweeps': ['viewer', 200],
  'GET /v1/sweeps/{sweepId}': ['viewer', 404],
  'POST /v1/sweeps/{sweepId}/cancel': ['operator', 404],
  'GET /v1/failures': ['viewer', 200],
  'GET /v1/locks': ['platform viewer', 200],
  'POST /v1/api-keys': ['admin', 400],
  'GET /v1/api-keys': ['admin', 200],
  'DELETE /v1/api-keys/{keyId}': ['admin', 404],
  'POST /run/api/workflows/cleanup-stale': ['operator', 200],
  'GET /api/cron/cleanup-stale-workflows': ['cron', 200],
  'GET /health/live': ['nothing', 200],
  'GET /health/ready': ['nothing', 200],
};

type Caller = 'viewer' | 'operator' | 'admin' | 'platform viewer' | 'platform admin' | 'cron' | 'none';

const RANKS = ['viewer', 'operator', 'admin'];

test('every route of the document has a row in the table of what it needs', async () => {
  const { paths } = (await world.lapse.get('/openapi.json')).body;
  const documented = Object.entries(paths as Record<string, object>).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(documented.sort()).toEqual(Object.keys(ROUTES).sort());
});

test.each(Object.entries(ROUTES))('%s answers each credential as its role allows', async (route, [needs, answer]) => {
  const { lapse } = world;
  const [method, path] = route.replace(/\{\w+\}/, NO_SUCH_ID).split(' ') as [string, string];
  const callers: [string, string | null, Caller][] = [
    ['nobody', null, 'none'],
    ['a wrong key', 'wrong', 'none'],
    ['the cron secret', CRON_SECRET, 'cron'],
    ['the admin key', ADMIN_KEY, 'platform admin'],
    ['a viewer', await lapse.createKey('viewer', 'acme'), 'viewer'],
    ['an operator', await lapse.createKey('operator', 'acme'), 'operator'],
    ['an admin', await lapse.createKey('admin', 'acme'), 'admin'],
    ['a viewer of the platform', await lapse.createKey('viewer'), 'platform viewer'],
  ];
  for (const [who, key, role] of callers) {
    const { status } = await lapse.send(method, path, key);
    expect([who, status]).toEqual([who, expectedStatus(needs, role, answer)]);
  }
});

function expectedStatus(needs: Needs, role: Caller, answer: number): number {
  if (needs === 'nothing' || needs === role) {
    return answer;
  }
  if (needs === 'cron' || role === 'cron' || role === 'none') {
    return 401;
  }
  if (needs.startsWith('platform') && !role.startsWith('platform')) {
    return 403;
  }
  const rankOf = (word: string) => RANKS.indexOf(word.replace('platform ', ''));
  return rankOf(role) >= rankOf(needs) ? answer : 403;
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
  const {
    status,
    body,
    headers: answered,
  } = await world.lapse.send('GET', '/v1/sweeps', null, undefined, headers as Record<string, string>);
  expect(status).toBe(401);
  expect(answered.get('www-authenticate')).toBe('Bearer');
  expect(body).toMatchObject({
    code: 'unauthenticated',
    detail: 'Send a valid credential as "Authorization: Bearer <key>"',
  });
});

test('a role that is missing is named', async () => {
  const { lapse } = world;
  const { status, body } = await lapse.post('/v1/sweeps', {}, await lapse.createKey('viewer', 'acme'));
  expect(status).toBe(403);
  expect(body).toMatchObject({ code: 'role_missing', detail: expect.stringContaining('"operator"') });
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

  const { items } = (await lapse.get('/v1/api-keys')).body;
  expect(JSON.stringify(items)).not.toContain(created.key.split('_')[2]);
  const { rows } = await host.pool.query('SELECT row_to_json(k)::text AS row FROM lapse.api_keys k');
  expect(rows.map(({ row }) => row).join()).not.toContain(created.key.split('_')[2]);

  expect((await lapse.get('/v1/sweeps', created.key)).status).toBe(200);
  expect((await lapse.delete(`/v1/api-keys/${created.id}`)).status).toBe(204);
  expect((await lapse.delete(`/v1/api-keys/${created.id}`)).status).toBe(204);
  expect((await lapse.get('/v1/sweeps', created.key)).status).toBe(401);
});

test.each([
  ['an expired key', `UPDATE lapse.api_keys SET expires_at = now() - interval '1 second' WHERE public_id = $1`],
  ['a key whose secret was changed', `UPDATE lapse.api_keys SET secret_hash = sha256('other') WHERE public_id = $1`],
  ['a key that was deleted', 'DELETE FROM lapse.api_keys WHERE public_id = $1'],
])('%s opens nothing', async (_what, change) => {
  const { lapse, host } = world;
  const key = await lapse.createKey('viewer', 'acme');
  await host.pool.query(change, [key.split('_')[1]]);
  expect((await lapse.get('/v1/sweeps', key)).status).toBe(401);
});

test("a tenant's admin makes, sees and revokes keys of its own tenant alone", async () => {
  const { lapse } = world;
  const admin = await lapse.createKey('admin', 'acme');
  const foreign = (await lapse.post('/v1/api-keys', { name: 'foreign', role: 'viewer', tenantId: 'globex' })).body;

  const own = await lapse.post('/v1/api-keys', { name: 'own', role: 'viewer' }, admin);

  expect(own.body.tenantId).toBe('acme');
  expect((await lapse.post('/v1/api-keys', { name: 'x', role: 'viewer', tenantId: 'globex' }, admin)).status).toBe(404);
  const { items } = (await lapse.get('/v1/api-keys?limit=500', admin)).body;
  expect(new Set(items.map(({ tenantId }: { tenantId: string }) => tenantId))).toEqual(new Set(['acme']));
  expect((await lapse.delete(`/v1/api-keys/${foreign.id}`, admin)).status).toBe(404);
  expect((await lapse.delete(`/v1/api-keys/${NO_SUCH_ID}`, admin)).status).toBe(404);
  expect((await lapse.get('/v1/sweeps', foreign.key)).status).toBe(200);
});

test('a route that declares nothing stops the boot', async () => {
  @Controller('declared')
  class Declared {
    @Get() @OpenToAll() open(): void {}
  }
  @Controller('forgotten')
  class Forgotten {
    @Get() secret(): void {}
  }
  const withRoutes = (...controllers: (typeof Declared | typeof Forgotten)[]) =>
    Test.createTestingModule({ imports: [DiscoveryModule], controllers, providers: [RouteDeclarations] })
      .compile()
      .then((module) => module.init());

  await expect(withRoutes(Declared, Forgotten)).rejects.toThrow(new RouteUndeclaredError(['Forgotten.secret']));
  await (await withRoutes(Declared)).close();
});
