import { beforeAll, expect, test } from '@jest/globals';
import { ADMIN_KEY } from './support/lapse.js';
import { NIGHT, sweepANight } from './support/night.js';
import { useWorld } from './support/world.js';

const world = useWorld();
const keys: Record<string, string> = {};

beforeAll(async () => {
  for (const tenant of ['acme', 'globex', 'initech']) {
    keys[tenant] = await world.lapse.createKey('operator', tenant);
  }
});

interface Listed {
  id: string;
  counts: { timedOut: number };
}

async function listed(query: string, key?: string): Promise<string[]> {
  const { status, body } = await world.lapse.get(`/v1/sweeps?limit=500${query}`, key);
  expect([status, body.nextCursor]).toEqual([200, null]);
  return body.items.map(({ id }: Listed) => id);
}

const SHARE = {
  ...{ trigger: 'schedule', status: 'succeeded', shareOf: 'acme', requestedBy: 'schedule' },
  ...{ reason: null, error: null, limit: null, scope: { tenantId: null } },
  counts: { timedOut: 3, skipped: 0, failed: 0, total: 3 },
};

test('a tenant reads its share of a sweep of the platform, with its own counts and nothing of others', async () => {
  const [first, second] = await sweepANight(world.host, { sweeps: 2, perTenant: 3 });
  await world.host.pool.query(
    `UPDATE lapse.sweeps SET status = 'partial', failed = 5, error = 'globex failed', trigger = 'api', requested_by = 'ada'
      WHERE id = $1`,
    [second],
  );
  expect((await world.lapse.get(`/v1/sweeps/${first}`, keys.acme)).body).toMatchObject(SHARE);
  const { body } = await world.lapse.get(`/v1/sweeps/${second}`, keys.acme);
  expect(body).toMatchObject({ ...SHARE, trigger: 'api', requestedBy: 'platform' });
  expect(JSON.stringify(body)).not.toMatch(/globex|ada|of the platform/);
  expect((await world.lapse.get('/v1/sweeps', keys.acme)).body.items).toEqual([
    body,
    expect.objectContaining({ id: first, counts: SHARE.counts }),
  ]);
  const ofTenant = (await world.lapse.get(`/v1/sweeps/${first}/timeouts`, keys.acme)).body.items;
  expect(ofTenant.map(({ tenantId }: { tenantId: string }) => tenantId)).toEqual(Array(3).fill('acme'));
  const { body: events } = await world.lapse.get(`/v1/sweeps/${first}/events`, keys.acme);
  expect(JSON.parse(/^data: (.*)$/m.exec(events)?.[1] ?? '')).toMatchObject(SHARE);
  expect((await world.lapse.get(`/v1/sweeps/${second}`)).body).toMatchObject({
    ...{ shareOf: null, status: 'partial', error: 'globex failed', requestedBy: 'ada' },
    counts: { timedOut: 6, skipped: 7, failed: 5, total: 18 },
  });
});

test('whoever watches its share of a running sweep gets its own counts, beside somebody who watches the whole', async () => {
  const [sweepId] = await sweepANight(world.host, { sweeps: 1, perTenant: 3 });
  await world.host.pool.query(`UPDATE lapse.sweeps SET status = 'running', finished_at = NULL`);
  const watch = (key: string) =>
    fetch(`${world.lapse.url}/v1/sweeps/${sweepId}/events`, { headers: { authorization: `Bearer ${key}` } });
  const streams = [await watch(ADMIN_KEY), await watch(keys.acme as string)];

  await world.host.pool.query(`UPDATE lapse.sweeps SET status = 'succeeded', finished_at = now()`);

  const events = await Promise.all(
    streams.map(async (stream) =>
      [...(await stream.text()).matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data as string)),
    ),
  );
  const told = events.map((ofOne) => ofOne.map(({ status, counts, shareOf }) => [status, counts.timedOut, shareOf]));
  expect(told).toEqual([
    [
      ['running', 6, null],
      ['succeeded', 6, null],
    ],
    [
      ['running', 3, 'acme'],
      ['succeeded', 3, 'acme'],
    ],
  ]);
});

test('a sweep of the platform that did not touch a tenant is not there for it, whatever it asks', async () => {
  const [sweepId] = await sweepANight(world.host, { sweeps: 1, perTenant: 1 });
  for (const path of ['', '/timeouts', '/events']) {
    const { status, body } = await world.lapse.get(`/v1/sweeps/${sweepId}${path}`, keys.initech);
    expect([path, status, body.code]).toEqual([path, 404, 'sweep_not_found']);
  }
  for (const filter of ['', '&status=succeeded', '&minTimedOut=0', '&kind=timeout', `&from=${NIGHT.from}`]) {
    expect([filter, await listed(filter, keys.initech)]).toEqual([filter, []]);
  }
  expect((await world.lapse.post(`/v1/sweeps/${sweepId}/cancel`, undefined, keys.acme)).body.code).toBe(
    'sweep_not_found',
  );
});

test("a failure of a tenant's own execution makes its share partial, and no one else's", async () => {
  const { host, lapse } = world;
  await host.suspend({ id: 'one', minutes: 31 });
  await host.suspend({ id: 'two', minutes: 31, tenantId: 'globex' });
  await host.pool.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'poisoned'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON workflow_executions FOR EACH ROW WHEN (old.id = 'one') EXECUTE FUNCTION refuse()`);
  const { body: sweep } = await lapse.post('/v1/sweeps', {});
  await host.pool.query('DROP FUNCTION refuse() CASCADE');

  const [acme, globex] = await Promise.all(
    ['acme', 'globex'].map(async (tenant) => (await lapse.get(`/v1/sweeps/${sweep.id}`, keys[tenant])).body),
  );
  expect([sweep.status, acme.status, globex.status]).toEqual(['partial', 'partial', 'succeeded']);
  expect([acme.counts, globex.counts]).toEqual([
    { timedOut: 0, skipped: 0, failed: 1, total: 1 },
    { timedOut: 1, skipped: 0, failed: 0, total: 1 },
  ]);
  expect(await listed('&status=partial', keys.acme)).toEqual([sweep.id]);
  expect(await listed('&status=partial', keys.globex)).toEqual([]);
  expect(await listed('&status=succeeded', keys.globex)).toEqual([sweep.id]);
});

test('sweeps are filtered by time, kind and how many they timed out, of a tenant by its own share', async () => {
  const { host, lapse } = world;
  const [first, second, third] = await sweepANight(host, { sweeps: 3, perTenant: 3 });
  const own = (await lapse.post('/v1/sweeps', { tenantId: 'acme' })).body.id;
  const { id: undo } = (await lapse.post('/v1/undo?wait=60', { sweepId: first, reason: 'x' })).body;

  expect(await listed('&tenantId=acme')).toEqual([undo, own, third, second, first]);
  expect(await listed('&tenantId=acme&kind=undo')).toEqual([undo]);
  expect(await listed('&kind=undo', keys.globex)).toEqual([undo]);
  expect(await listed('&kind=undo', keys.initech)).toEqual([]);
  expect(await listed('&kind=timeout', keys.globex)).toEqual([third, second, first]);
  expect(await listed('&from=2026-11-24T22:01:00Z&to=2026-11-24T22:02:00Z')).toEqual([second]);
  expect(await listed('&from=2026-11-24T22:01:00Z&to=2026-11-24T22:02:00Z', keys.acme)).toEqual([second]);
  expect(await listed('&minTimedOut=4')).toEqual([third, second, first]);
  expect(await listed('&minTimedOut=3', keys.acme)).toEqual([third, second, first]);
  expect(await listed('&minTimedOut=4', keys.acme)).toEqual([]);
  const page = await lapse.get('/v1/sweeps?limit=2', keys.acme);
  const next = await lapse.get(`/v1/sweeps?limit=2&cursor=${page.body.nextCursor}`, keys.acme);
  expect([...page.body.items, ...next.body.items].map(({ id }: Listed) => id)).toEqual([undo, own, third, second]);
  expect((await lapse.get(`/v1/sweeps/${undo}`, keys.acme)).body).toMatchObject({
    ...{ shareOf: 'acme', kind: 'undo', reason: null, expected: null, requestedBy: 'platform' },
    ...{ undone: { reopened: 3, changedSince: 0, gone: 0, alreadyReopened: 0 }, counts: { total: 3 } },
  });
  const timeouts = (await lapse.get(`/v1/sweeps/${undo}/timeouts`, keys.acme)).body.items;
  expect(timeouts.map(({ tenantId }: { tenantId: string }) => tenantId)).toEqual(Array(3).fill('acme'));
});

test.each([
  ['from=2026-11-24', 'query.from'],
  ['from=2026-11-25T00:00:00Z&to=2026-11-24T00:00:00Z', 'query.to'],
  ['kind=sweep', 'query.kind'],
  ['minTimedOut=-1', 'query.minTimedOut'],
])('%s is refused', async (query, path) => {
  const { status, body } = await world.lapse.get(`/v1/sweeps?${query}`);
  expect([status, body.errors.map((fault: { path: string }) => fault.path)]).toEqual([400, [path]]);
});
