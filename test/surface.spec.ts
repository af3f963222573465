import { once } from 'node:events';
import net from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { eventually } from './support/eventually.js';
import { ADMIN_KEY, type Answer, Lapse } from './support/lapse.js';
import { useDatabase } from './support/world.js';

const world = useDatabase();
afterEach(() => Lapse.stopAll());

function start(environment: Record<string, string> = {}): Promise<Lapse> {
  return Lapse.start(world.databaseUrl, environment);
}

function from(
  lapse: Lapse,
  address: string,
  key: string | null,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return lapse.send('GET', '/v1/sweeps', key, undefined, { 'x-forwarded-for': address, ...headers });
}

test('after 20 failures in a minute an address is held up, and whoever opens something there goes on', async () => {
  const lapse = await start({ LAPSE_TRUSTED_PROXIES: 'loopback' });
  const statuses: number[] = [];
  for (let time = 0; time < 22; time += 1) {
    statuses.push((await from(lapse, '203.0.113.1', 'wrong')).status);
  }
  expect(statuses).toEqual([...Array(20).fill(401), 429, 429]);

  const refused = await from(lapse, '203.0.113.1', 'wrong');
  expect(refused.body.code).toBe('too_many_failures');
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60);
  expect((await from(lapse, '203.0.113.1', ADMIN_KEY)).status).toBe(200);
  expect((await from(lapse, '203.0.113.2', 'wrong')).status).toBe(401);
});

test('addresses of one IPv6 network count as one', async () => {
  const lapse = await start({ LAPSE_TRUSTED_PROXIES: 'loopback' });
  for (let time = 0; time < 20; time += 1) {
    await from(lapse, `2001:db8:1:2::${time.toString(16)}`, 'wrong');
  }
  expect((await from(lapse, '2001:db8:1:2:ffff::1', 'wrong')).status).toBe(429);
  expect((await from(lapse, '2001:db8:1:3::1', 'wrong')).status).toBe(401);
});

test.each([
  ['203.0.113.9:%', '203.0.113.9'],
  ['[2001:db8:9:9::%]:4711', '2001:db8:9:9::1'],
  ['::ffff:203.0.113.8', '203.0.113.8:80'],
  ['198.51.100.%, 203.0.113.7:%, 127.0.0.1:%', '203.0.113.7'],
])(
  'a client that a proxy writes as %p counts as one, and as its plain address on the audit log',
  async (written, plain) => {
    const lapse = await start({ LAPSE_TRUSTED_PROXIES: 'loopback' });
    const write = (time: number) => written.replaceAll('%', String(time + 10));
    for (let time = 0; time < 20; time += 1) {
      await from(lapse, write(time), 'wrong');
    }
    expect((await from(lapse, plain, 'wrong')).status).toBe(429);

    await lapse.send('POST', '/v1/sweeps', ADMIN_KEY, '{"dryRun": true}', { 'x-forwarded-for': write(0) });
    const { items } = (await lapse.get('/v1/audit-log?limit=1')).body;
    expect(items[0].address).toMatch(/^[0-9.]+$|^2001:db8:9:9::10$/);
    expect(items[0].address).not.toMatch(/^127|^198/);
  },
);

test('who is not a trusted proxy can not say that it is somebody else', async () => {
  const lapse = await start();
  for (let time = 0; time < 20; time += 1) {
    await from(lapse, `203.0.113.${time}`, 'wrong');
  }
  expect((await from(lapse, '203.0.113.99', 'wrong')).status).toBe(429);
});

test('a principal that calls too often is held up and told how much it has, others are not', async () => {
  const lapse = await start({ LAPSE_RATE_LIMIT: '3' });
  const [ada, bob] = [await lapse.createKey('viewer', 'acme'), await lapse.createKey('viewer', 'acme')];
  const answers: Answer[] = [];
  for (let time = 0; time < 4; time += 1) {
    answers.push(await lapse.get('/v1/sweeps', ada));
  }

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
  expect(answers[0]?.headers.get('ratelimit-policy')).toBe('"principal";q=3;w=60');
  expect(answers.map(({ headers }) => headers.get('ratelimit')?.split(';')[1])).toEqual(['r=2', 'r=1', 'r=0', 'r=0']);
  expect(answers[3]?.body).toMatchObject({ code: 'too_many_requests', detail: expect.stringMatching(/^3 requests/) });
  expect(answers[3]?.headers.get('retry-after')).toMatch(/^\d+$/);
  expect((await lapse.get('/v1/sweeps', bob)).status).toBe(200);
  expect((await lapse.get('/health/live', null as never)).status).toBe(200);
});

test('answers carry the headers that keep browsers from harm, and nothing that names what serves them', async () => {
  const lapse = await start();
  for (const path of ['/v1/sweeps', '/docs', '/no/such/path', '/health/live']) {
    const { headers } = await lapse.get(path);
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-frame-options')).toBe('SAMEORIGIN');
    expect(headers.get('content-security-policy')).toMatch(/default-src 'self'/);
    expect(headers.get('content-security-policy')).not.toMatch(/upgrade-insecure-requests/);
    expect(headers.get('access-control-allow-origin')).toBeNull();
  }
});

test('browsers may call from the configured origins, and from no other', async () => {
  const lapse = await start({ LAPSE_CORS_ORIGINS: 'https://admin.example.com, https://ops.example.com' });
  const allowed = async (origin: string) =>
    (
      await lapse.send('OPTIONS', '/v1/sweeps', null, undefined, { origin, 'access-control-request-method': 'POST' })
    ).headers.get('access-control-allow-origin');
  expect(await allowed('https://ops.example.com')).toBe('https://ops.example.com');
  expect(await allowed('https://evil.example.com')).toBeNull();
});

test('LAPSE_DOCS=false hides Swagger UI and the document', async () => {
  const lapse = await start({ LAPSE_DOCS: 'false' });
  for (const path of ['/docs', '/docs/swagger-ui-bundle.js', '/openapi.json', '/openapi.yaml']) {
    expect([path, (await lapse.get(path)).status]).toEqual([path, 404]);
  }
});

test('headers beyond the limit are refused, and a request that never ends is cut off', async () => {
  const lapse = await start();
  const server = lapse.app.getHttpServer();
  expect(server).toMatchObject({ headersTimeout: 10_000, requestTimeout: 30_000, maxHeadersCount: 100 });
  expect((await lapse.send('GET', '/v1/sweeps', `k${'x'.repeat(64 * 1024)}`)).status).toBe(401);
  expect((await lapse.send('GET', '/v1/sweeps', `k${'x'.repeat(128 * 1024)}`)).status).toBe(431);

  const { hostname, port } = new URL(lapse.url);
  const slow = net.connect(Number(port), hostname);
  slow.write('GET /v1/sweeps HTTP/1.1\r\nHost: x\r\n');
  const drip = setInterval(() => slow.write('X-Drip: 1\r\n'), 1_000);
  slow.on('error', () => undefined).resume();
  await once(slow, 'close');
  clearInterval(drip);
  await eventually(
    () => lapse.get('/health/live'),
    ({ status }) => status === 200,
  );
}, 60_000);
