import { afterEach, expect, test } from '@jest/globals';
import { Lapse } from './support/lapse.js';
import { useDatabase } from './support/world.js';

const world = useDatabase();
afterEach(async () => {
  await Lapse.stopAll();
  await world.host.clear();
});

/** What a service that has just started counts: nothing is remembered yet. */
async function backlog(query = '', tenant?: string) {
  const lapse = await Lapse.start(world.databaseUrl);
  const key = tenant === undefined ? undefined : await lapse.createKey('viewer', tenant);
  return (await lapse.get(`/v1/backlog${query}`, key)).body;
}

test('what waits is counted by tenant and by age, with the oldest and the next deadline', async () => {
  const { host } = world;
  for (const minutes of [0.5, 3, 31, 40, 100, 60 * 24 * 10]) {
    await host.suspend({ minutes });
  }
  await host.suspend({ minutes: 2, tenantId: 'globex' });
  await host.suspend({ minutes: 90, status: 'running' });

  const counted = await backlog();

  expect(counted).toMatchObject({
    approximate: false,
    suspended: 7,
    overdue: 4,
    byTenant: [
      { tenantId: 'acme', suspended: 6, overdue: 4 },
      { tenantId: 'globex', suspended: 1, overdue: 0 },
    ],
    otherTenants: { tenants: 0, suspended: 0, overdue: 0 },
    ages: [
      { upTo: '1m', suspended: 1 },
      { upTo: '5m', suspended: 2 },
      { upTo: '15m', suspended: 0 },
      { upTo: '30m', suspended: 0 },
      { upTo: '1h', suspended: 2 },
      { upTo: '6h', suspended: 1 },
      { upTo: '1d', suspended: 0 },
      { upTo: '7d', suspended: 0 },
      { upTo: null, suspended: 1 },
    ],
  });
  const asOf = Date.parse(counted.asOf);
  expect(asOf - Date.parse(counted.oldestSuspendedSince)).toBeGreaterThanOrEqual(60_000 * 60 * 24 * 10);
  expect(Date.parse(counted.nextDeadline) - asOf).toBeGreaterThan(26 * 60_000);
  expect(Date.parse(counted.nextDeadline) - asOf).toBeLessThanOrEqual(27 * 60_000);
});

test('an empty backlog is nothing, rather than an error', async () => {
  expect(await backlog()).toMatchObject({
    suspended: 0,
    overdue: 0,
    oldestSuspendedSince: null,
    nextDeadline: null,
    byTenant: [],
  });
});

test('a tenant counts its own alone', async () => {
  await world.host.suspend({ minutes: 31 });
  await world.host.suspend({ minutes: 1, tenantId: 'globex' });
  for (const counted of [await backlog('', 'globex'), await backlog('?tenantId=globex')]) {
    expect(counted).toMatchObject({
      suspended: 1,
      overdue: 0,
      byTenant: [{ tenantId: 'globex', suspended: 1, overdue: 0 }],
    });
  }
  expect(await backlog('?tenantId=acme', 'globex')).toMatchObject({ code: 'tenant_not_found' });
});

test('beyond fifty tenants the rest is summed', async () => {
  for (let tenant = 1; tenant <= 52; tenant += 1) {
    await world.host.suspendMany(tenant === 7 ? 2 : 1, 31, `tenant-${String(tenant).padStart(2, '0')}`);
  }
  const { byTenant, otherTenants } = await backlog();
  expect(byTenant).toHaveLength(50);
  expect(byTenant[0]).toEqual({ tenantId: 'tenant-07', suspended: 2, overdue: 2 });
  expect(otherTenants).toEqual({ tenants: 2, suspended: 2, overdue: 2 });
});

test('where more than 100,000 wait, the numbers are estimates and say so', async () => {
  await world.host.pool.query(
    `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, created_at, updated_at)
     SELECT 't' || n % 2, 'p', n::text, 'a', 'c', CASE WHEN n % 5 = 0 THEN 'completed' ELSE 'suspended' END, now(),
            now() - CASE WHEN n % 4 = 0 THEN interval '40 minutes' ELSE interval '2 minutes' END
       FROM generate_series(1, 500000) n`,
  );
  await world.host.pool.query('VACUUM ANALYZE workflow_executions');

  const { approximate, suspended, overdue, byTenant } = await backlog();

  expect(approximate).toBe(true);
  expect(Math.abs(suspended / 400_000 - 1)).toBeLessThan(0.1);
  expect(Math.abs(overdue / 100_000 - 1)).toBeLessThan(0.2);
  expect(byTenant.map(({ tenantId }: { tenantId: string }) => tenantId).sort()).toEqual(['t0', 't1']);
}, 60_000);

test('many who ask at once are answered by one count', async () => {
  const lapse = await Lapse.start(world.databaseUrl);
  const answers = await Promise.all(Array.from({ length: 20 }, () => lapse.get('/v1/backlog')));
  expect(new Set(answers.map(({ body }) => body.asOf)).size).toBe(1);
  await world.host.suspend({ minutes: 1 });
  expect((await lapse.get('/v1/backlog')).body.asOf).toBe(answers[0]?.body.asOf);
});
