import { afterAll, expect, test } from '@jest/globals';
import { sendExactly } from './support/exact-request.js';
import { Issuer } from './support/issuer.js';
import { ADMIN_KEY } from './support/lapse.js';
import { useWorld } from './support/world.js';

const issuer = await Issuer.start();
afterAll(() => issuer.stop());
const world = useWorld({ ...issuer.environment, LAPSE_TRUSTED_PROXIES: 'loopback' });

/** 256 characters as PostgreSQL counts them, which are 512 of JavaScript's units. */
const LONGEST = '🦊'.repeat(256);
const TOO_LONG = `${LONGEST}x`;

let address = 0;
/** @param header its bytes, as characters of Latin-1; several are sent one by one. */
function withTenant(header: string | string[], method = 'GET', path = '/v1/executions', key = ADMIN_KEY) {
  address += 1;
  return sendExactly(world.lapse.url, {
    method,
    path,
    headers: { authorization: `Bearer ${key}`, 'x-tenant-id': header, 'x-forwarded-for': `10.4.0.${address}` },
    ...(method === 'POST' ? { body: '{}' } : {}),
  });
}

const utf8 = (text: string) => Buffer.from(text).toString('latin1');
const faults = (body: { errors?: { path: string }[] }) => body.errors?.map(({ path }) => path);

test.each(['café', '🦊', 'Ünïcödé\u00a0✓', LONGEST])('X-Tenant-Id is read as UTF-8: %s', async (tenantId) => {
  await world.host.suspend({ id: 'own', tenantId, minutes: 31 });
  await world.host.suspend({ id: 'other', tenantId: 'acme', minutes: 31 });

  const { status, body } = await withTenant(utf8(tenantId));
  expect([status, body.items.map(({ id }: { id: string }) => id)]).toEqual([200, ['own']]);
  const sweep = (await withTenant(utf8(tenantId), 'POST', '/v1/sweeps')).body;
  expect([sweep.scope.tenantId, sweep.counts.timedOut]).toEqual([tenantId, 1]);
});

const BAD_HEADERS: [string, string | string[]][] = [
  ['in Latin-1', 'caf\xe9'],
  ['with a byte that begins nothing', '\xff'],
  ['with an overlong NUL', '\xc0\x80'],
  ['with half a surrogate pair', '\xed\xa0\x80'],
  ['that is cut within a character', utf8('🦊').slice(0, 3)],
  ['that is empty', ''],
  ['of 9,000 characters', 'x'.repeat(9_000)],
  ['of 257 wide characters', utf8(TOO_LONG)],
  ['that comes twice', ['acme', 'globex']],
  ['that comes twice alike', ['acme', 'acme']],
];

test.each(BAD_HEADERS)('an X-Tenant-Id %s is refused, and nothing is swept', async (_what, header) => {
  await world.host.suspendMany(1, 31);
  for (const [method, path] of [
    ['POST', '/v1/sweeps'],
    ['POST', '/run/api/workflows/cleanup-stale'],
    ['GET', '/v1/sweeps'],
    ['GET', '/v1/backlog'],
    ['GET', '/v1/audit-log'],
  ] as const) {
    const { status, body } = await withTenant(header, method, path);
    expect([path, status, faults(body) ?? body.error]).toEqual([
      path,
      400,
      path.startsWith('/v1') ? ['header.x-tenant-id'] : expect.stringMatching(/^header.x-tenant-id: /),
    ]);
  }
  expect(await world.host.count('suspended')).toBe(1);
});

test("a tenant's credential that names itself twice is refused, and another tenant stays unknown", async () => {
  const key = await world.lapse.createKey('viewer', 'café');
  expect((await withTenant(utf8('café'), 'GET', '/v1/sweeps', key)).status).toBe(200);
  expect((await withTenant('caf\xe9', 'GET', '/v1/sweeps', key)).status).toBe(400);
  expect((await withTenant('acme', 'GET', '/v1/sweeps', key)).status).toBe(404);
});

/** Each place where an id comes from; answers the status with that id. */
const PLACES: Record<string, (id: string) => Promise<number>> = {
  'a body': async (tenantId) => (await world.lapse.post('/v1/sweeps', { tenantId })).status,
  'the project of a body': async (projectId) => (await world.lapse.post('/v1/sweeps', { projectId })).status,
  'an API key': async (tenantId) =>
    (await world.lapse.post('/v1/api-keys', { name: 'x', role: 'viewer', tenantId })).status,
  'a query': async (id) => (await world.lapse.get(`/v1/executions?agentId=${encodeURIComponent(id)}`)).status,
  'the tenant of a path': async (id) => (await world.lapse.get(pathOf(id, 'p', 'e'))).status,
  'the project of a path': async (id) => (await world.lapse.get(pathOf('t', id, 'e'))).status,
  'the execution of a path': async (id) => (await world.lapse.get(pathOf('t', 'p', id))).status,
  'a conversation': async (id) =>
    (await withTenant('acme', 'GET', `/run/api/conversations/${encodeURIComponent(id)}/pending-approvals?projectId=p`))
      .status,
  'a header': async (id) => (await withTenant(utf8(id))).status,
  'the tenant of a token': async (id) => withToken({ tenant_id: id, role: 'operator' }),
  'the subject of a token': async (sub) => withToken({ tenant_id: 'acme', role: 'operator', sub }),
};

const pathOf = (...ids: string[]) => {
  const [tenantId, projectId, id] = ids.map(encodeURIComponent);
  return `/v1/tenants/${tenantId}/projects/${projectId}/executions/${id}`;
};

async function withToken(claims: Record<string, unknown>): Promise<number> {
  address += 1;
  const headers = { 'x-forwarded-for': `10.4.0.${address}` };
  return (await world.lapse.send('POST', '/v1/sweeps', await issuer.token(claims), '{}', headers)).status;
}

test.each(Object.entries(PLACES))('256 characters are the same measure in %s', async (place, send) => {
  const accepted = /path|conversation/.test(place) ? 404 : place === 'an API key' ? 201 : 200;
  const refused = /token/.test(place) ? 401 : 400;
  expect(await send(LONGEST)).toBe(accepted);
  expect(await send('é'.repeat(256))).toBe(accepted);
  expect(await send(TOO_LONG)).toBe(refused);
  expect(await send('x'.repeat(257))).toBe(refused);
  // Not longer: a token would be refused for its own length.
  expect(await send('x'.repeat(/token/.test(place) ? 3_000 : 9_000))).toBe(refused);
});

test('claims that PostgreSQL can not store open nothing', async () => {
  for (const id of ['a\0b', '\ud800', '']) {
    expect(await withToken({ tenant_id: id, role: 'operator' })).toBe(401);
    expect(await withToken({ tenant_id: 'acme', role: 'operator', sub: id })).toBe(401);
  }
});

const NESTINGS: [string, (depth: number) => string][] = [
  ['a list', (depth) => `{"reason": ${'['.repeat(depth)}${']'.repeat(depth)}}`],
  ['an object', (depth) => `{"reason": ${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`],
  ['an unknown member', (depth) => `{"unknown": ${'[{"a":'.repeat(depth)}1${'}]'.repeat(depth)}}`],
  ['a body that is no object', (depth) => `${'['.repeat(depth)}${']'.repeat(depth)}`],
  ['a prototype', (depth) => `{"__proto__": ${'['.repeat(depth)}${']'.repeat(depth)}}`],
];

test.each(NESTINGS)('%s nested thousands of levels deep is refused', async (_what, nested) => {
  for (const path of ['/v1/sweeps', '/v1/api-keys', '/run/api/workflows/cleanup-stale']) {
    for (const depth of [50, 5_000, 11_000]) {
      expect([path, depth, (await world.lapse.send('POST', path, ADMIN_KEY, nested(depth))).status]).toEqual([
        path,
        depth,
        400,
      ]);
    }
  }
});

const LISTS = ['/v1/executions', '/v1/executions?tenantId=acme', '/v1/failures'];

test('a cursor is accepted again, whatever the ids of the host look like', async () => {
  const { pool } = world.host;
  await pool.query(`
    ALTER TABLE workflow_executions ALTER tenant_id TYPE text, ALTER project_id TYPE text, ALTER id TYPE text`);
  try {
    for (const text of [
      '\u0001'.repeat(256),
      LONGEST,
      '"\\'.repeat(10_000),
      'x'.repeat(90_000),
      '\u{10ffff}'.repeat(20_000),
    ]) {
      await world.host.clear();
      for (const id of ['a', 'b', 'c']) {
        await pool.query(
          `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status)
           VALUES ('acme', $1, $2, 'agent', 'c', 'suspended')`,
          [text, text + id],
        );
        await pool.query(
          `INSERT INTO lapse.failures (tenant_id, project_id, execution_id, last_reason, sqlstate, last_sweep_id, next_try_at)
           VALUES ('acme', $1, $2, 'a trial', 'P0001', gen_random_uuid(), now())`,
          [text, text + id],
        );
      }
      for (const list of LISTS) {
        const ids: string[] = [];
        for (let cursor = ''; ids.length < 4; ) {
          const { status, body } = await world.lapse.get(`${list}${list.includes('?') ? '&' : '?'}limit=1${cursor}`);
          expect([list, status, text.length]).toEqual([list, 200, text.length]);
          ids.push(
            ...body.items.map((item: { id?: string; executionId?: string }) => (item.id ?? item.executionId)?.at(-1)),
          );
          if (body.nextCursor === null) {
            break;
          }
          cursor = `&cursor=${body.nextCursor}`;
        }
        expect([list, ids]).toEqual([list, ['a', 'b', 'c']]);
      }
    }
  } finally {
    await world.host.clear();
    await pool.query(`
      ALTER TABLE workflow_executions ALTER tenant_id TYPE varchar(256), ALTER project_id TYPE varchar(256), ALTER id TYPE varchar(256)`);
  }
});
