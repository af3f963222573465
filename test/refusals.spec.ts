import { afterAll, afterEach, beforeEach, expect, test } from '@jest/globals';
import { AuditLogService } from '../src/audit/audit-log.service.js';
import { eventually } from './support/eventually.js';
import { Issuer } from './support/issuer.js';
import { ADMIN_KEY, Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const issuer = await Issuer.start();
afterAll(() => issuer.stop());
const world = useWorld({ ...issuer.environment, LAPSE_TRUSTED_PROXIES: 'loopback' });

const LIMIT = 3;
let limited: Lapse;
beforeEach(async () => {
  limited = await Lapse.start(world.databaseUrl, { ...issuer.environment, LAPSE_RATE_LIMIT: String(LIMIT) });
  await world.host.pool.query('TRUNCATE lapse.audit_log');
});
afterEach(() => limited.stop());

/** The first record comes first. */
async function records(): Promise<
  Record<'action' | 'code' | 'outcome' | 'target' | 'tenant_id' | 'address', string>[]
> {
  const { rows } = await world.host.pool.query(
    `SELECT action, code, outcome, target, tenant_id, address FROM lapse.audit_log WHERE outcome <> 'done' ORDER BY id`,
  );
  return rows;
}

const codesOf = (rows: { action: string; code: string }[]) => rows.map(({ action, code }) => `${action} ${code}`);

const uuid = (n: number) => `01890000-0000-7000-8000-${String(n).padStart(12, '0')}`;

type Refused = [
  who: string,
  credential: () => Promise<string>,
  route: [string, string, string?],
  status: number,
  code: string,
];

const REFUSED: Refused[] = [
  [
    'an end user on a hidden route',
    () => issuer.token({ tenant_id: 'acme', role: 'end-user', sub: 'eve' }),
    ['POST', '/v1/sweeps', '{}'],
    404,
    'not_found',
  ],
  [
    'a viewer on a route of operators',
    () => world.lapse.createKey('viewer', 'acme'),
    ['POST', '/v1/sweeps'],
    403,
    'role_missing',
  ],
  [
    "a tenant's key on a route of the platform",
    () => world.lapse.createKey('admin', 'acme'),
    ['GET', '/v1/locks'],
    403,
    'platform_credential_needed',
  ],
  [
    'an operator of another tenant',
    () => world.lapse.createKey('operator', 'acme'),
    ['POST', '/v1/sweeps', '{"tenantId": "globex"}'],
    404,
    'tenant_not_found',
  ],
  [
    'bad input',
    () => world.lapse.createKey('operator', 'acme'),
    ['POST', '/v1/sweeps', '{"limit": 0}'],
    400,
    'invalid_input',
  ],
  [
    'a body that is not JSON',
    () => world.lapse.createKey('operator', 'acme'),
    ['POST', '/v1/sweeps', '{'],
    400,
    'invalid_input',
  ],
  [
    'a query that is not UTF-8',
    () => world.lapse.createKey('operator', 'acme'),
    ['POST', '/v1/sweeps?wait=%FF'],
    400,
    'invalid_input',
  ],
  [
    'an id that does not exist',
    () => world.lapse.createKey('operator', 'acme'),
    ['POST', `/v1/sweeps/${uuid(1)}/cancel`],
    404,
    'sweep_not_found',
  ],
];

test.each(REFUSED)(
  '%s is refused as often as the rate limit allows, and is on record once',
  async (_who, credential, [method, path, body], status, code) => {
    const key = await credential();
    const answers: number[] = [];
    for (let call = 0; call < LIMIT + 4; call += 1) {
      answers.push((await limited.send(method, path, key, body)).status);
    }

    expect(answers).toEqual([...Array(LIMIT).fill(status), ...Array(4).fill(429)]);
    const recorded = (await records()).map((record) => record.code);
    expect(recorded).toEqual(method === 'GET' ? [] : [code, 'too_many_requests']);
  },
);

test('a refusal is recorded again in the next window, and so is another action, code or principal', async () => {
  const { lapse } = world;
  const refusals = lapse.app.get(AuditLogService).refusals;
  const [ada, bob] = [await lapse.createKey('viewer', 'acme'), await lapse.createKey('viewer', 'acme')];
  for (const key of [ada, ada, bob, ada, bob]) {
    await lapse.post('/v1/sweeps', {}, key);
    await lapse.post('/v1/api-keys', {}, key);
    await lapse.post('/v1/sweeps', { tenantId: 'globex' }, await lapse.createKey('operator', 'acme'));
  }
  expect(codesOf(await records()).sort()).toEqual([
    ...Array(2).fill('api-key.create role_missing'),
    ...Array(2).fill('sweep.request role_missing'),
    ...Array(5).fill('sweep.request tenant_not_found'),
  ]);

  await world.host.pool.query('TRUNCATE lapse.audit_log');
  refusals.windowMs = 100;
  const carl = await lapse.createKey('viewer', 'acme');
  const rows = await eventually(
    async () => {
      await lapse.post('/v1/sweeps', {}, carl);
      return records();
    },
    ({ length }) => length >= 2,
  );
  refusals.windowMs = 60_000;
  expect(new Set(codesOf(rows))).toEqual(new Set(['sweep.request role_missing']));
});

test('of many targets that one principal is refused, the first ten are on record', async () => {
  const { lapse } = world;
  const [operator, foreigner] = [
    await lapse.createKey('operator', 'acme'),
    await lapse.createKey('operator', 'globex'),
  ];
  for (let target = 1; target <= 25; target += 1) {
    await lapse.post(`/v1/sweeps/${uuid(target)}/cancel`, undefined, operator);
    await lapse.post(`/v1/sweeps/${uuid(target)}/cancel`, undefined, operator);
  }
  await lapse.post(`/v1/sweeps/${uuid(1)}/cancel`, undefined, foreigner);

  const rows = await records();
  expect(rows.map(({ target, tenant_id }) => [tenant_id, target])).toEqual([
    ...Array.from({ length: 10 }, (_, at) => ['acme', uuid(at + 1)]),
    ['globex', uuid(1)],
  ]);
});

test('whoever has no valid credential is on record once for each address, whatever it presents', async () => {
  const { lapse } = world;
  const from = (address: string, credential: string) =>
    lapse.send('POST', '/v1/sweeps', credential, '{}', { 'x-forwarded-for': address });
  for (let call = 0; call < 25; call += 1) {
    await from('203.0.113.7', `guess-${call}`);
    await from(`2001:db8::${call}`, await issuer.token({ tenant_id: 'acme', role: 'admin' }, { expiresIn: -31 }));
  }
  await from('203.0.113.8', 'guess');

  expect(codesOf(await records()).sort()).toEqual([
    ...Array(2).fill('sweep.request too_many_failures'),
    ...Array(3).fill('sweep.request unauthenticated'),
  ]);
});

test('a change that fails again and again is on record as failed, once a window', async () => {
  const { lapse, host } = world;
  await host.pool.query('ALTER TABLE lapse.api_keys RENAME TO away');
  const statuses: number[] = [];
  for (let call = 0; call < 5; call += 1) {
    statuses.push((await lapse.post('/v1/api-keys', { name: 'x', role: 'viewer' }, ADMIN_KEY)).status);
  }
  await host.pool.query('ALTER TABLE lapse.away RENAME TO api_keys');

  expect(statuses).toEqual(Array(5).fill(500));
  expect((await records()).map(({ action, outcome }) => `${action} ${outcome}`)).toEqual(['api-key.create failed']);
});

test('a refusal that could not be recorded is recorded when it comes again', async () => {
  const { lapse, host } = world;
  const viewer = await lapse.createKey('viewer', 'acme');
  await host.pool.query(`ALTER TABLE lapse.audit_log ADD CONSTRAINT full_disk CHECK (action = 'x') NOT VALID`);
  expect((await lapse.post('/v1/sweeps', {}, viewer)).status).toBe(403);
  await host.pool.query('ALTER TABLE lapse.audit_log DROP CONSTRAINT full_disk');
  await lapse.post('/v1/sweeps', {}, viewer);
  await lapse.post('/v1/sweeps', {}, viewer);

  expect(codesOf(await records())).toEqual(['sweep.request role_missing']);
});
