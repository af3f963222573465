import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { type CryptoKey, exportSPKI, importJWK, type JWK, SignJWT, UnsecuredJWT } from 'jose';
import { eventually } from './support/eventually.js';
import { Issuer } from './support/issuer.js';
import { Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const issuer = await Issuer.start();
const stranger = await Issuer.start();
afterAll(() => {
  issuer.stop();
  stranger.stop();
});
const world = useWorld({ ...issuer.environment, LAPSE_TRUSTED_PROXIES: 'loopback' });

/** Each from an address of its own, so that what must fail doesn't hold up what comes after. */
let address = 0;
function get(path: string, token: string, lapse = world.lapse) {
  address += 1;
  return lapse.send('GET', path, token, undefined, { 'x-forwarded-for': `10.2.${address >> 8}.${address & 255}` });
}

const operator = { tenant_id: 'acme', role: 'operator' };

test.each(['RS256', 'ES256', 'EdDSA'])(
  'a token that is signed with %s opens what its role says, in its tenant',
  async (algorithm) => {
    const { lapse, host } = world;
    await host.suspendMany(2, 31, 'acme');
    await host.suspendMany(1, 31, 'globex');
    const token = await issuer.token(operator, { key: await issuer.addKey(algorithm) });

    // The key is new to Lapse, which asks for keys every few seconds at most.
    await eventually(
      () => get('/v1/sweeps', token),
      ({ status }) => status === 200,
    );
    const { body } = await lapse.post('/v1/sweeps', {}, token);

    expect(body).toMatchObject({ requestedBy: 'jwt:ada', scope: { tenantId: 'acme' }, counts: { timedOut: 2 } });
    expect((await lapse.post('/v1/sweeps', { tenantId: 'globex' }, token)).status).toBe(404);
    expect(await host.count('suspended')).toBe(1);
  },
  60_000,
);

test('of several roles the highest counts; a role of somebody else is none', async () => {
  const token = (role: unknown) => issuer.token({ tenant_id: 'acme', role });
  expect((await get('/v1/api-keys', await token(['end-user', 'admin', 'billing', 'viewer']))).status).toBe(200);
  expect((await get('/v1/api-keys', await token(['end-user', 'viewer']))).status).toBe(403);
  for (const role of ['root', 'Admin', '', null, 1, [], {}, { admin: true }, [['admin']]]) {
    expect([role, (await get('/v1/sweeps', await token(role))).status]).toEqual([role, 401]);
  }
});

async function hmacSignedWithThePublicKey(): Promise<string> {
  const { keys } = (await (await fetch(`${issuer.url}/jwks`)).json()) as { keys: JWK[] };
  const key = keys[0] as JWK;
  const pem = await exportSPKI((await importJWK(key)) as CryptoKey);
  return new SignJWT({ ...operator, iss: issuer.url, aud: 'lapse', sub: 'ada', exp: 4_000_000_000 })
    .setProtectedHeader({ alg: 'HS256', kid: key.kid as string })
    .sign(new TextEncoder().encode(pem));
}

const BAD_TOKENS: Record<string, () => Promise<string> | string> = {
  'that expired 31 seconds ago': () => issuer.token(operator, { expiresIn: -31 }),
  'without an expiry': () => issuer.token({ ...operator, exp: undefined }),
  'that is not valid yet': () => issuer.token({ ...operator, nbf: Math.floor(Date.now() / 1000) + 60 }),
  'for another audience': () => issuer.token({ ...operator, aud: 'billing' }),
  'of another issuer': () => issuer.token({ ...operator, iss: stranger.url }),
  "with a stranger's signature": () => stranger.token({ ...operator, iss: issuer.url }),
  'without a subject': () => issuer.token({ ...operator, sub: undefined }),
  'without a tenant': () => issuer.token({ role: 'admin' }),
  'whose tenant is null': () => issuer.token({ role: 'admin', tenant_id: null }),
  'whose tenant is empty': () => issuer.token({ role: 'admin', tenant_id: '' }),
  'whose tenant has a NUL': () => issuer.token({ role: 'admin', tenant_id: 'ac\0me' }),
  'whose tenant is a list': () => issuer.token({ role: 'admin', tenant_id: ['acme'] }),
  'without a role': () => issuer.token({ tenant_id: 'acme' }),
  'without a signature (alg none)': () =>
    new UnsecuredJWT({ ...operator, sub: 'ada' })
      .setIssuer(issuer.url)
      .setAudience('lapse')
      .setExpirationTime('5m')
      .encode(),
  'signed with the public key as an HMAC secret': hmacSignedWithThePublicKey,
  'whose payload was changed': async () => {
    const [header, , signature] = (await issuer.token(operator)).split('.');
    const forged = Buffer.from(JSON.stringify({ ...operator, role: 'admin' })).toString('base64url');
    return `${header}.${forged}.${signature}`;
  },
  'that was cut': async () => (await issuer.token(operator)).slice(0, -4),
  'of 64 kB': () => issuer.token({ ...operator, padding: 'x'.repeat(48 * 1024) }),
  'that is rubbish': () => 'eyJ.eyJ.eyJ',
};

test.each(Object.entries(BAD_TOKENS))('a token %s opens nothing', async (_what, make) => {
  const { status, body, headers } = await get('/v1/sweeps', await make());
  expect(status).toBe(401);
  expect(headers.get('www-authenticate')).toBe('Bearer');
  expect(body).toMatchObject({
    code: 'unauthenticated',
    detail: 'Send a valid credential as "Authorization: Bearer <key>"',
  });
});

test('a token that is signed with an algorithm off the list opens nothing, though its key is published', async () => {
  const unlisted = await issuer.token(operator, { key: await issuer.addKey('ES384') });
  const listed = await issuer.token(operator, { key: await issuer.addKey('ES256') });
  await eventually(
    () => get('/v1/sweeps', listed),
    ({ status }) => status === 200,
  );
  expect((await get('/v1/sweeps', unlisted)).status).toBe(401);
}, 60_000);

test('a token may be 30 seconds late', async () => {
  expect((await get('/v1/sweeps', await issuer.token(operator, { expiresIn: -20 }))).status).toBe(200);
});

test('when the issuer rotates its keys, new tokens are accepted within seconds and old ones no more', async () => {
  const old = await issuer.token(operator);
  await eventually(
    () => get('/v1/sweeps', old),
    ({ status }) => status === 200,
  );

  await issuer.rotate();
  const fresh = await issuer.token(operator);

  await eventually(
    () => get('/v1/sweeps', fresh),
    ({ status }) => status === 200,
  );
  expect((await get('/v1/sweeps', old)).status).toBe(401);
}, 60_000);

test('a token without a kid is accepted if any of the published keys fits, and only then', async () => {
  const keys = [];
  for (const algorithm of ['RS256', 'ES256', 'EdDSA']) {
    keys.push(await issuer.addKey(algorithm), await issuer.addKey(algorithm, { alg: undefined, use: undefined }));
    keys.push(await issuer.addKey(algorithm));
  }
  const twin = await issuer.addKey('ES256', { kid: keys[3]?.kid });
  const encrypting = await issuer.addKey('ES256', { use: 'enc' });
  const named = await issuer.token(operator, { key: twin });
  await eventually(
    () => get('/v1/sweeps', named),
    ({ status }) => status === 200,
  );

  for (const key of keys) {
    const token = await issuer.token(operator, { key, withoutKid: true });
    expect([key.kid, (await get('/v1/sweeps', token)).status]).toEqual([key.kid, 200]);
    expect((await world.lapse.post('/v1/sweeps', { tenantId: 'globex' }, token)).body.code).toBe('tenant_not_found');
    const [header, payload, signature] = token.split('.') as [string, string, string];
    expect((await get('/v1/sweeps', `${header}.${payload}.${signature.split('').reverse().join('')}`)).status).toBe(
      401,
    );
  }
  const forged = await stranger.token(
    { ...operator, iss: issuer.url },
    { key: await stranger.addKey('RS256'), withoutKid: true },
  );
  for (const refused of [
    await issuer.token(operator, { key: keys[1] as never, withoutKid: true, expiresIn: -31 }),
    await issuer.token(operator, { key: encrypting, withoutKid: true }),
    forged,
  ]) {
    expect((await get('/v1/sweeps', refused)).status).toBe(401);
  }
}, 60_000);

test('a token without a kid is accepted within seconds of a rotation too', async () => {
  await issuer.rotate();
  const old = await issuer.token(operator);
  await eventually(
    () => get('/v1/sweeps', old),
    ({ status }) => status === 200,
  );

  await issuer.rotate();
  const fresh = await issuer.token(operator, { withoutKid: true });

  await eventually(
    () => get('/v1/sweeps', fresh),
    ({ status }) => status === 200,
  );
}, 60_000);

test('while the issuer is down, keys work and tokens are told to come back', async () => {
  issuer.goDown();
  const lapse = await Lapse.start(world.databaseUrl, issuer.environment);

  const { status, body, headers } = await get('/v1/sweeps', await issuer.token(operator), lapse);

  expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'issuer_unavailable', '5']);
  expect((await lapse.get('/v1/sweeps')).status).toBe(200);
  expect((await lapse.get('/v1/sweeps', await lapse.createKey('viewer', 'acme'))).status).toBe(200);
  issuer.comeBack();
  await eventually(
    async () => get('/v1/sweeps', await issuer.token(operator), lapse),
    (answer) => answer.status === 200,
  );
  await lapse.stop();
}, 60_000);

test('without a configured issuer a token opens nothing', async () => {
  const lapse = await Lapse.start(world.databaseUrl);
  expect((await get('/v1/sweeps', await issuer.token(operator), lapse)).status).toBe(401);
  await lapse.stop();
});

test('claims may have other names', async () => {
  const lapse = await Lapse.start(world.databaseUrl, {
    ...issuer.environment,
    LAPSE_JWT_TENANT_CLAIM: 'https://example.com/tenant',
    LAPSE_JWT_ROLE_CLAIM: 'roles',
  });
  const token = await issuer.token({ 'https://example.com/tenant': 'acme', roles: ['viewer'], role: 'admin' });
  expect((await get('/v1/sweeps', token, lapse)).status).toBe(200);
  expect((await get('/v1/api-keys', token, lapse)).status).toBe(403);
  await lapse.stop();
});

/** Conversations, each with an execution that waits for approval. */
async function converse(conversations: { id: string; userId: string | null; tenantId?: string }[]): Promise<void> {
  const { pool } = world.host;
  for (const { id, userId, tenantId = 'acme' } of conversations) {
    await pool.query(`INSERT INTO conversations (tenant_id, project_id, id, user_id) VALUES ($1, 'support', $2, $3)`, [
      tenantId,
      id,
      userId,
    ]);
    const { id: execution } = await world.host.suspend({ tenantId, minutes: 1 });
    await pool.query('UPDATE workflow_executions SET conversation_id = $1 WHERE id = $2', [id, execution]);
  }
}

const pathOf = (conversation: string, tenant = 'acme') =>
  `/v1/tenants/${tenant}/projects/support/conversations/${conversation}/pending-approvals`;

beforeEach(() => world.host.pool.query('TRUNCATE conversations'));

test("an end user sees what waits in its own and in nobody's conversations; of others not that they exist", async () => {
  await converse([
    { id: 'own', userId: 'ada' },
    { id: 'of nobody', userId: null },
    { id: 'of nobody either', userId: '' },
    { id: "bob's", userId: 'bob' },
    { id: 'elsewhere', userId: 'ada', tenantId: 'globex' },
  ]);
  const ada = await issuer.token({ tenant_id: 'acme', role: 'end-user', sub: 'ada' });

  for (const conversation of ['own', 'of nobody', 'of nobody either']) {
    const { status, body } = await get(pathOf(encodeURIComponent(conversation)), ada);
    expect([conversation, status, body.approval?.toolName]).toEqual([conversation, 200, 'issue_refund']);
  }
  const [foreign, missing] = [await get(pathOf("bob's"), ada), await get(pathOf('missing'), ada)];
  expect([foreign.status, foreign.body.code, foreign.body.detail]).toEqual([
    404,
    missing.body.code,
    missing.body.detail,
  ]);
  expect((await get(pathOf('elsewhere'), ada)).status).toBe(404);
  expect((await get(pathOf('elsewhere', 'globex'), ada)).status).toBe(404);
  expect((await get('/v1/sweeps', ada)).body).toMatchObject(
    (await get('/no/such/path', ada)).body.code ? { code: 'not_found' } : {},
  );
});

test('who an end user is may stand in another claim', async () => {
  await converse([{ id: 'own', userId: 'customer-7' }]);
  const lapse = await Lapse.start(world.databaseUrl, {
    ...issuer.environment,
    LAPSE_JWT_END_USER_CLAIM: 'customer',
  });
  const token = (claims: object) => issuer.token({ tenant_id: 'acme', role: 'end-user', ...claims });
  expect((await get(pathOf('own'), await token({ customer: 'customer-7' }), lapse)).status).toBe(200);
  expect((await get(pathOf('own'), await token({ customer: 'customer-8' }), lapse)).status).toBe(404);
  expect((await get(pathOf('own'), await token({ sub: 'customer-7' }), lapse)).status).toBe(401);
  await lapse.stop();
});
