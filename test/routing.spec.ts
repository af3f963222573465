import { expect, test } from '@jest/globals';
import { eventually } from './support/eventually.js';
import { sendExactly } from './support/exact-request.js';
import { ADMIN_KEY, CRON_SECRET, Lapse } from './support/lapse.js';
import { routesOf } from './support/routes.js';
import { useWorld } from './support/world.js';

const world = useWorld();

const ID = '01890000-0000-7000-8000-000000000000';

test.each([
  ['PUT', '/v1/sweeps', 'GET, HEAD, OPTIONS, POST'],
  ['DELETE', '/v1/sweeps', 'GET, HEAD, OPTIONS, POST'],
  ['GET', `/v1/sweeps/${ID}/cancel`, 'OPTIONS, POST'],
  ['GET', `/v1/api-keys/${ID}`, 'DELETE, OPTIONS'],
  ['PATCH', '/v1/tenants/a%2Fb/projects/c/executions/d', 'GET, HEAD, OPTIONS'],
  ['PROPFIND', '/v1/sweeps/', 'GET, HEAD, OPTIONS, POST'],
  ['POST', '/', 'GET, HEAD, OPTIONS'],
  ['POST', '/health/live', 'GET, HEAD, OPTIONS'],
  ['TRACE', '/v1/sweeps', 'GET, HEAD, OPTIONS, POST'],
  ['POST', '/docs', 'GET, HEAD, OPTIONS'],
  ['DELETE', '/docs/swagger-ui.css', 'GET, HEAD, OPTIONS'],
  ['PUT', '/openapi.json', 'GET, HEAD, OPTIONS'],
])('%s %s is 405 for everybody, and says what is allowed', async (method, path, allowed) => {
  for (const authorization of [`Bearer ${ADMIN_KEY}`, undefined]) {
    const headers = authorization === undefined ? {} : { authorization };
    const answer = await sendExactly(world.lapse.url, { method, path, headers });
    expect([answer.status, answer.headers.allow]).toEqual([405, allowed]);
    expect(answer.headers['content-type']).toMatch('application/problem+json');
    expect(answer.body).toMatchObject({ code: 'method_not_allowed', detail: expect.stringContaining(allowed) });
  }
});

test('every route refuses the methods that its path does not take, and names those that it takes', async () => {
  const { lapse } = world;
  const methods = new Map<string, string[]>();
  for (const [method, path] of routesOf(lapse.app).map((route) => route.split(' ') as [string, string])) {
    methods.set(path, [...(methods.get(path) ?? []), method]);
  }
  expect(methods.size).toBeGreaterThan(25);
  for (const [path, taken] of methods) {
    const wrong = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((method) => !taken.includes(method));
    for (const method of wrong) {
      const { status, headers } = await lapse.send(method, path.replace(/:\w+/g, ID), null);
      const allowed = headers.get('allow')?.split(', ') ?? [];
      expect([path, method, status, allowed.filter((name) => !/HEAD|OPTIONS/.test(name))]).toEqual([
        ...[path, method, 405, [...taken].sort()],
      ]);
    }
  }
});

test('a wrong method on a path that does not exist is 404', async () => {
  for (const method of ['PUT', 'DELETE', 'POST', 'HEAD', 'OPTIONS']) {
    expect([method, (await world.lapse.send(method, '/v1/nothing', null)).status]).toEqual([method, 404]);
  }
});

test('a wrong method on a drop-in route is answered in the words of the original', async () => {
  for (const path of ['/run/api/workflows/cleanup-stale', '/api/cron/cleanup-stale-workflows']) {
    const { status, headers, body } = await world.lapse.send('PUT', path, ADMIN_KEY);
    expect([status, headers.has('allow'), Object.keys(body)]).toEqual([405, true, ['error']]);
  }
});

test('OPTIONS says what a path takes, without a credential and without an effect', async () => {
  const { lapse, host } = world;
  await host.suspendMany(1, 31);
  const options = (path: string) => lapse.send('OPTIONS', path, null);
  expect((await options('/v1/sweeps')).headers.get('allow')).toBe('GET, HEAD, OPTIONS, POST');
  expect((await options('/v1/sweeps')).status).toBe(204);
  expect((await options('/api/cron/cleanup-stale-workflows')).headers.get('allow')).toBe('GET, OPTIONS');
  expect((await options('/v1/no-such-thing')).status).toBe(404);
  expect(await host.count('suspended')).toBe(1);
});

test('with CORS, a preflight is answered, and OPTIONS still says what a path takes', async () => {
  const lapse = await Lapse.start(world.databaseUrl, { LAPSE_CORS_ORIGINS: 'https://ops.example.com' });
  const { status, headers } = await lapse.send('OPTIONS', '/v1/sweeps', null, undefined, {
    origin: 'https://ops.example.com',
    'access-control-request-method': 'POST',
  });
  expect([status, headers.get('access-control-allow-origin')]).toEqual([204, 'https://ops.example.com']);
  expect(headers.get('access-control-allow-methods')).toMatch('POST');
  expect(headers.get('allow')).toBe('GET, HEAD, OPTIONS, POST');
  await lapse.stop();
});

test('HEAD is answered as GET without a body, needs a credential as well, and never changes or streams anything', async () => {
  const { lapse, host } = world;
  await host.suspendMany(200, 31);
  await host.slowDown(0.05);
  const { id } = (await lapse.post('/v1/sweeps?wait=0', {})).body;

  for (const [path, type] of [
    ['/v1/sweeps', 'application/json'],
    [`/v1/sweeps/${id}/events`, 'text/event-stream'],
    ['/health/live', 'application/json'],
  ] as const) {
    const { status, headers, body } = await lapse.send('HEAD', path, ADMIN_KEY);
    expect([status, body]).toEqual([200, '']);
    expect(headers.get('content-type')).toMatch(type);
  }
  const csv = await lapse.send('HEAD', '/v1/timeouts', ADMIN_KEY, undefined, { accept: 'text/csv' });
  expect([csv.status, csv.headers.get('content-type')]).toEqual([200, expect.stringMatching('text/csv')]);
  expect((await lapse.send('HEAD', '/v1/sweeps', null)).status).toBe(401);
  expect((await lapse.get(`/v1/sweeps/${id}`)).body.status).toBe('running');
  await lapse.post(`/v1/sweeps/${id}/cancel`);
  await host.speedUp();
  await eventually(
    async () => (await lapse.get(`/v1/sweeps/${id}`)).body.status,
    (status) => status === 'cancelled',
  );

  await host.clear();
  await host.suspendMany(1, 31);
  for (const path of ['/api/cron/cleanup-stale-workflows', '/API/Cron/cleanup-stale-workflows/']) {
    const cron = await lapse.send('HEAD', path, CRON_SECRET);
    expect([cron.status, cron.headers.get('allow')]).toEqual([405, 'GET, OPTIONS']);
  }
  expect(await host.count('suspended')).toBe(1);
}, 30_000);

test.each([
  ['GET', '/v1/sweep', 'GET /v1/sweeps'],
  ['POST', '/v1/sweep', 'POST /v1/sweeps'],
  ['GET', '/sweeps', 'GET /v1/sweeps'],
  ['GET', '/api/v1/timeouts', 'GET /v1/timeouts'],
  ['GET', '/v1/apikeys', 'GET /v1/api-keys'],
  ['POST', `/v1/sweeps/${ID}/cancle`, 'POST /v1/sweeps/{sweepId}/cancel'],
  ['GET', '/health', 'GET /health/live'],
  [
    'GET',
    '/v1/tenants/acme/project/support/executions/1',
    'GET /v1/tenants/{tenantId}/projects/{projectId}/executions/{executionId}',
  ],
  ['GET', '/openapi', 'GET /openapi.json'],
])('%s %s is 404 with the route that was probably meant', async (method, path, meant) => {
  const { status, body } = await world.lapse.send(method, path, ADMIN_KEY);
  expect([status, body.code]).toEqual([404, 'not_found']);
  expect(body.detail).toBe(`There is nothing at this path; did you mean ${meant}? GET /docs lists the routes`);
});

test.each(['/v1/no-such-thing', '/v1', '/favicon.ico', `/${'a/'.repeat(5_000)}`, `/v1/${'sweeps'.repeat(1_000)}`])(
  'GET %.40s is 404 without a guess',
  async (path) => {
    const { status, body } = await world.lapse.get(path);
    expect([status, body.detail]).toEqual([404, 'There is nothing at this path; GET /docs lists the routes']);
  },
);

test('the start page is JSON for programs and a page for browsers, for everybody', async () => {
  const { lapse } = world;
  const json = await lapse.send('GET', '/', null);
  expect([json.status, json.body]).toEqual([
    200,
    {
      name: 'Lapse',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      description: expect.any(String),
      docs: '/docs',
      openapi: '/openapi.json',
      live: '/health/live',
      ready: '/health/ready',
    },
  ]);
  const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
  const page = await lapse.send('GET', '/', null, undefined, { accept });
  expect(page.headers.get('content-type')).toMatch('text/html');
  expect(page.headers.get('vary')).toMatch('Accept');
  const links = [...String(page.body).matchAll(/href="([^"]+)"/g)].map(([, link]) => link as string);
  expect(links).toEqual(['docs', 'openapi.json', 'health/live', 'health/ready']);
  for (const link of links) {
    expect([link, (await fetch(new URL(link, `${lapse.url}/`))).status]).toEqual([link, 200]);
  }
});

test('without docs neither the start page nor a 404 leads there', async () => {
  const lapse = await Lapse.start(world.databaseUrl, { LAPSE_DOCS: 'false' });
  expect((await lapse.send('GET', '/', null)).body).toMatchObject({ docs: null, openapi: null, live: '/health/live' });
  const page = await lapse.send('GET', '/', null, undefined, { accept: 'text/html' });
  expect(page.body).not.toMatch(/docs|openapi/);
  expect((await lapse.get('/v1/no-such-thing')).body.detail).toBe('There is nothing at this path');
  await lapse.stop();
});
