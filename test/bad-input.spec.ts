import { expect, test } from '@jest/globals';
import { sendExactly } from './support/exact-request.js';
import { ADMIN_KEY } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();

const paths = (body: { errors: { path: string }[] }) => body.errors.map(({ path }) => path).sort();

test.each<[string, unknown, string[]]>([
  ['an unknown field', { tenant: 'acme' }, ['body.tenant']],
  ['several faults at once', { limit: 0, dryRun: 'yes', foo: 1 }, ['body.dryRun', 'body.foo', 'body.limit']],
  ['a timeout of no length', { timeoutSeconds: 0 }, ['body.timeoutSeconds']],
  ['a negative timeout', { timeoutSeconds: -5 }, ['body.timeoutSeconds']],
  ['an absurd timeout', { timeoutSeconds: 1e300 }, ['body.timeoutSeconds']],
  ['a timeout beyond ten years', { timeoutSeconds: 315_360_001 }, ['body.timeoutSeconds']],
  ['a limit beyond what an integer holds', { limit: 2 ** 31 }, ['body.limit']],
  ['a broken limit', { limit: 1.5 }, ['body.limit']],
  ['a number as text', { limit: '10' }, ['body.limit']],
  ['a NUL in an id', { tenantId: 'ac\0me' }, ['body.tenantId']],
  ['a NUL in the reason', { reason: '\0' }, ['body.reason']],
  ['an empty id', { projectId: '' }, ['body.projectId']],
  ['an id that is too long', { agentId: 'x'.repeat(257) }, ['body.agentId']],
  ['an id that is an object', { tenantId: { $ne: null } }, ['body.tenantId']],
  ['a list', [], ['body']],
  ['a text', 'sweep', ['body']],
  ['a null', null, ['body']],
])('a sweep with %s is refused with the path of each fault', async (_what, body, expected) => {
  const { host, lapse } = world;
  await host.suspendMany(1, 31);

  const answer = await lapse.post('/v1/sweeps', body);

  expect(answer.status).toBe(400);
  expect(answer.headers.get('content-type')).toMatch('application/problem+json');
  expect(answer.body).toMatchObject({
    status: 400,
    title: 'Bad Request',
    code: expect.any(String),
    instance: '/v1/sweeps',
  });
  expect(answer.body.requestId).toBe(answer.headers.get('x-request-id'));
  expect(paths(answer.body)).toEqual(expected);
  expect(await host.count('suspended')).toBe(1);
});

test.each<[string, string, string[]]>([
  ['broken JSON', '{"limit": 1', ['body']],
  ['a body over 100 kB', JSON.stringify({ reason: 'x'.repeat(101 * 1024) }), ['body']],
  ['a prototype', '{"__proto__": {"dryRun": true}}', ['body.__proto__']],
  ['a constructor', '{"constructor": {"prototype": {}}}', ['body.constructor']],
])('%s is refused', async (_what, text, expected) => {
  const { lapse } = world;
  const { status, body } = await lapse.send('POST', '/v1/sweeps', ADMIN_KEY, text);
  expect(status).toBe(400);
  expect(paths(body)).toEqual(expected);
});

test('a body counts whatever content type it names, so that no field is passed over', async () => {
  const { host, lapse } = world;
  await host.suspendMany(1, 31);
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/octet-stream']) {
    const { body } = await lapse.send('POST', '/v1/sweeps', ADMIN_KEY, '{"dryRun":true}', { 'content-type': type });
    expect(body).toMatchObject({ dryRun: true, counts: { timedOut: 1 } });
  }
  expect(await host.count('suspended')).toBe(1);
});

test.each([
  ['/v1/sweeps?limit=0', ['query.limit']],
  ['/v1/sweeps?limit=501', ['query.limit']],
  ['/v1/sweeps?limit=ten', ['query.limit']],
  ['/v1/sweeps?limit=1&limit=2', ['query.limit']],
  ['/v1/sweeps?limit=0x10', ['query.limit']],
  ['/v1/sweeps?limit=', ['query.limit']],
  ['/v1/sweeps?cursor=garbage', ['query.cursor']],
  ['/v1/sweeps?cursor=', ['query.cursor']],
  [`/v1/sweeps?cursor=${Buffer.from('["1; DROP TABLE sweeps"]').toString('base64url')}`, ['query.cursor']],
  [`/v1/failures?cursor=${Buffer.from('["2026-01-01T00:00:00.000000Z"]').toString('base64url')}`, ['query.cursor']],
  ['/v1/sweeps?status=nonsense', ['query.status']],
  ['/v1/sweeps?trigger=magic', ['query.trigger']],
  ['/v1/sweeps?tenantId=a%00b', ['query.tenantId']],
  ['/v1/sweeps?order=asc', ['query.order']],
  ['/v1/sweeps/not-a-uuid', ['path.sweepId']],
  ['/v1/sweeps/%E0%A4%A', ['path']],
  ['/v1/sweeps/..%2F..%00', ['path.sweepId']],
  ['/v1/failures?limit=501', ['query.limit']],
  ['/v1/api-keys?limit=-1', ['query.limit']],
  ['/v1/locks?tenantId=acme&limit=1', ['query.limit', 'query.tenantId']],
  ['/health/live?verbose=1', ['query.verbose']],
  ['/v1/sweeps/01890000-0000-7000-8000-000000000000?expand=counts', ['query.expand']],
])('GET %s is refused', async (path, expected) => {
  const { status, body } = await world.lapse.get(path);
  expect(status).toBe(400);
  expect(paths(body)).toEqual(expected);
});

test.each<[string, string, string, Buffer | undefined]>([
  ['query.tenantId', 'GET', '/v1/sweeps?tenantId=%FF', undefined],
  ['query.tenantId', 'GET', '/v1/sweeps?tenantId=a%ED%A0%80', undefined],
  ['query', 'GET', '/v1/sweeps?%FF=a', undefined],
  ['path', 'GET', '/v1/sweeps/%FF', undefined],
  ['body', 'POST', '/v1/sweeps', Buffer.from('{"tenantId":"\xff"}', 'latin1')],
  ['body.tenantId', 'POST', '/v1/sweeps', Buffer.from('{"tenantId":"\\ud800"}')],
])('of text that is not Unicode, %s is refused: %s %s', async (path, method, to, body) => {
  const answer = await sendExactly(world.lapse.url, {
    method,
    path: to,
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
    ...(body ? { body } : {}),
  });
  expect([answer.status, paths(answer.body)]).toEqual([400, [path]]);
});

test.each(['-1', '61', '1.5', 'ten', '', '1e1'])(
  'waiting for "%s" seconds is refused before anything begins',
  async (wait) => {
    const { host, lapse } = world;
    await host.suspendMany(1, 31);
    const { status, body } = await lapse.post(`/v1/sweeps?wait=${wait}`);
    expect([status, paths(body)]).toEqual([400, ['query.wait']]);
    expect(await host.count('suspended')).toBe(1);
  },
);

test.each<[string, string, string | undefined]>([
  ['/v1/sweeps', '/v1/sweeps', undefined],
  ['an empty body to /v1/sweeps', '/v1/sweeps', ''],
  ['/run/api/workflows/cleanup-stale', '/run/api/workflows/cleanup-stale', undefined],
  ['an empty body to /run/api/workflows/cleanup-stale', '/run/api/workflows/cleanup-stale', ''],
])('a lost body does not sweep the platform: %s', async (_what, path, text) => {
  const { host, lapse } = world;
  await host.suspendMany(1, 31);

  const refused = await lapse.send('POST', path, ADMIN_KEY, text);
  expect([refused.status, refused.body.detail ?? refused.body.error]).toEqual([
    400,
    'body: is required; send a JSON object, or {} to take every default',
  ]);
  expect(await host.count('suspended')).toBe(1);

  expect((await lapse.send('POST', path, ADMIN_KEY, '{}')).status).toBe(200);
  expect(await host.count('suspended')).toBe(0);
});

test('of an unknown name it is said which one was probably meant, and which there are', async () => {
  const { lapse } = world;
  const faults = (await lapse.post('/v1/sweeps', { tenant: 'acme', dry_run: true, TimeoutSeconds: 1, foo: 1 })).body
    .errors;
  const known = 'nown: tenantId, projectId, agentId, timeoutSeconds, limit, dryRun, reason';
  expect(faults).toEqual([
    { path: 'body.tenant', message: `is not known here; did you mean "tenantId"? K${known}` },
    { path: 'body.dry_run', message: `is not known here; did you mean "dryRun"? K${known}` },
    { path: 'body.TimeoutSeconds', message: `is not known here; did you mean "timeoutSeconds"? K${known}` },
    { path: 'body.foo', message: `is not known here; k${known}` },
  ]);
  const messageFor = async (path: string) => (await lapse.get(path)).body.errors[0].message;
  expect(await messageFor('/v1/api-keys?limt=5')).toBe('is not known here; did you mean "limit"? Known: limit, cursor');
  expect(await messageFor('/v1/sweeps?__proto__=1')).toMatch(/^is not known here; known: .*limit/);
  expect(await messageFor('/health/live?x=1')).toBe('is not known here, where nothing is expected; remove it');
});

test('of thousands of faults the first ones are named, and how many more there are', async () => {
  const { lapse } = world;
  const names = Array.from({ length: 5_000 }, (_, n) => [`name${n}`, 1]);
  const query = (text: string, count: number) => Array.from({ length: count }, (_, n) => `${text}${n}=1`).join('&');
  const cancel = '/v1/sweeps/01890000-0000-7000-8000-000000000000/cancel';
  for (const [answer, place, more] of [
    [await lapse.post('/v1/sweeps', Object.fromEntries(names)), 'body', 4_980],
    [await lapse.post(cancel, Object.fromEntries(names)), 'body', 4_980],
    [await lapse.get(`/v1/sweeps?${query('name', 500)}`), 'query', 480],
    [await lapse.get(`/v1/locks?${query('name', 500)}`), 'query', 480],
    [await lapse.get(`/v1/sweeps?${query('name%FF', 500)}`), 'query', 480],
  ] as const) {
    expect([answer.status, answer.body.errors.length]).toEqual([400, 21]);
    expect(answer.body.errors.at(-1)).toEqual({ path: place, message: `has ${more} more faults` });
  }
});

test('a name of any length is shown in part', async () => {
  const { body } = await world.lapse.post('/v1/sweeps', { ['🦊'.repeat(20_000)]: 1 });
  expect(body.errors[0].path).toMatch(/^body\.(🦊)+.?…$/u);
  expect(JSON.stringify(body).length).toBeLessThan(2_000);
});

test('a body that a route does not take is refused, rather than ignored', async () => {
  const { lapse } = world;
  const cancel = '/v1/sweeps/01890000-0000-7000-8000-000000000000/cancel';
  const { status, body } = await lapse.post(cancel, { reason: 'Wrong timeout' });
  expect([status, body.errors]).toEqual([
    400,
    [{ path: 'body.reason', message: 'is not known here, where nothing is expected; remove it' }],
  ]);
  for (const text of [undefined, '', '{}']) {
    expect((await lapse.send('POST', cancel, ADMIN_KEY, text)).status).toBe(404);
  }
});

test.each([
  ['/v1/sweeps?status=interupted', /^must be one of running, .*, not "interupted"; did you mean "interrupted"\?$/],
  ['/v1/executions?status=Failed', /, not "Failed"; did you mean "failed"\?$/],
  ['/v1/sweeps?trigger=magic', /^must be one of schedule, .*, not "magic"$/],
])('of a word that is not known it is said which one was probably meant: %s', async (path, message) => {
  expect((await world.lapse.get(path)).body.errors[0].message).toMatch(message);
});

test.each([
  ['POST', '/v1/api-keys', {}, { 'body.name': 'is required', 'body.role': 'is required' }],
  [
    'POST',
    '/v1/api-keys',
    { name: null, role: 'viewer' },
    { 'body.name': expect.stringMatching(/^must be text .* null$/) },
  ],
  ['POST', '/v1/sweeps/01890000-0000-7000-8000-000000000000/undo', {}, { 'body.reason': 'is required' }],
  ['POST', '/v1/timeouts/01890000-0000-7000-8000-000000000000/reopen', undefined, { 'body.reason': 'is required' }],
])('%s %s with %j says what is missing', async (method, path, sent, expected) => {
  const { status, body } = await world.lapse.send(method, path, ADMIN_KEY, sent && JSON.stringify(sent));
  expect(status).toBe(400);
  const faults = body.errors as { path: string; message: string }[];
  expect(Object.fromEntries(faults.map(({ path, message }) => [path, message]))).toEqual(expected);
});

test.each([
  ['acme\0', 400],
  ["acme'; DROP TABLE workflow_executions; --", 200],
  ['ac/me', 200],
  ['..', 200],
  ['🦊', 200],
  ['\ud800', 400],
])('the tenant %p is a name like any other, or refused', async (tenantId, expected) => {
  expect((await world.lapse.post('/v1/sweeps', { tenantId })).status).toBe(expected);
});
