import { randomUUID } from 'node:crypto';
import { afterEach, expect, test } from '@jest/globals';
import { TenantScope } from '../src/access/tenant-scope.js';
import { SweepPauses } from '../src/sweeps/sweep-pauses.service.js';
import { useWorld } from './support/world.js';

const world = useWorld({ LAPSE_SWEEP_BATCH_SIZE: '100' });

interface ListedFailure {
  tenantId: string;
  executionId: string;
}

/** What a host might have on its table: it raises, keeps away or delays the update of executions named `bad…`. */
async function hostTrigger(body: string, kind = 'BEFORE UPDATE'): Promise<void> {
  const isDeferred = kind.startsWith('AFTER');
  await world.host.pool.query(
    `CREATE FUNCTION host_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN IF NEW.id LIKE 'bad%' THEN ${body} END IF; RETURN NEW; END $$`,
  );
  await world.host.pool.query(
    `CREATE ${isDeferred ? 'CONSTRAINT' : ''} TRIGGER host_trigger ${kind} ON workflow_executions
       ${isDeferred ? 'DEFERRABLE INITIALLY DEFERRED' : ''} FOR EACH ROW EXECUTE FUNCTION host_trigger()`,
  );
}

afterEach(() => world.host.pool.query('DROP FUNCTION IF EXISTS host_trigger() CASCADE'));

test.each([
  ['raises', `RAISE EXCEPTION 'frozen %', NEW.id;`, 'BEFORE UPDATE', /^P0001: frozen bad/],
  ['fails on a column that is not there', 'PERFORM no_such_column;', 'BEFORE UPDATE', /^42703: /],
  ['keeps the update away', 'RETURN NULL;', 'BEFORE UPDATE', /kept 1 of the updates away/],
  ['raises at the commit', `RAISE EXCEPTION 'frozen later';`, 'AFTER UPDATE', /^P0001: frozen later/],
])("a host's trigger that %s costs its own execution alone", async (_what, body, kind, reason) => {
  const { host, lapse } = world;
  await host.suspendMany(250, 31);
  await host.suspend({ minutes: 45, id: 'bad-oldest' });
  await host.suspend({ minutes: 31, id: 'bad-between' });
  await host.pool.query(
    `UPDATE workflow_executions SET updated_at = (SELECT updated_at FROM workflow_executions WHERE id = '120')
      WHERE id = 'bad-between'`,
  );
  await hostTrigger(body, kind);

  const { body: sweep } = await lapse.post('/v1/sweeps');

  expect(sweep).toMatchObject({ status: 'partial', counts: { timedOut: 250, skipped: 0, failed: 2, total: 252 } });
  expect(await host.count('failed')).toBe(250);
  expect(await host.ledger()).toHaveLength(250);
  const items: ListedFailure[] = (await lapse.get('/v1/failures')).body.items;
  expect(items.map(({ executionId }) => executionId).sort()).toEqual(['bad-between', 'bad-oldest']);
  for (const failure of items) {
    expect(failure).toMatchObject({
      tenantId: 'acme',
      attempts: 1,
      lastReason: expect.stringMatching(reason),
      lastSweepId: sweep.id,
    });
  }
});

test('an execution that failed is left alone until its next try, which comes later each time', async () => {
  const { host, lapse } = world;
  await host.suspend({ minutes: 45, id: 'bad' });
  await hostTrigger(`RAISE EXCEPTION 'frozen';`);
  const pauses: number[] = [];
  for (let attempt = 1; attempt <= 8; attempt += 1) {
    expect((await lapse.post('/v1/sweeps')).body.counts).toMatchObject({ failed: 1, total: 1 });
    expect((await lapse.post('/v1/sweeps')).body.counts).toMatchObject({ failed: 0, total: 0 });
    const [failure] = (await lapse.get('/v1/failures')).body.items;
    expect(failure.attempts).toBe(attempt);
    pauses.push(Math.round((Date.parse(failure.nextTryAt) - Date.parse(failure.lastFailedAt)) / 60_000));
    await host.pool.query('UPDATE lapse.failures SET next_try_at = now()');
  }
  expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
});

test('a partial sweep says how many executions are paused until when, to each tenant of its own', async () => {
  const { host, lapse } = world;
  for (const tenantId of ['acme', 'acme', 'acme', 'globex', 'globex']) {
    await host.suspend({ tenantId, minutes: 31, id: `bad-${randomUUID()}` });
  }
  await host.suspendMany(4, 31, 'initech');
  await hostTrigger(`RAISE EXCEPTION 'frozen';`);

  const { body: sweep } = await lapse.post('/v1/sweeps');

  expect(sweep).toMatchObject({ status: 'partial', counts: { timedOut: 4, failed: 5 } });
  const { items } = (await lapse.get('/v1/failures')).body;
  const times = items.map(({ nextTryAt }: { nextTryAt: string }) => nextTryAt).sort();
  expect(sweep.paused).toEqual({ executions: 5, nextTryAt: times[0], until: times.at(-1) });
  expect((await lapse.get('/v1/sweeps')).body.items[0].paused).toEqual(sweep.paused);
  const { body: untouched } = await lapse.post('/v1/sweeps', { tenantId: 'initech' });
  expect(untouched.paused).toBeNull();
  const scopes = [TenantScope.tenant('acme'), TenantScope.tenant('initech')];
  const pauses = scopes.map((scope) => lapse.app.get(SweepPauses, { strict: false }).addTo(scope, [sweep]));
  expect((await Promise.all(pauses)).map(([answer]) => answer?.paused?.executions)).toEqual([3, undefined]);

  await host.pool.query('UPDATE lapse.failures SET next_try_at = now()');
  expect((await lapse.get(`/v1/sweeps/${sweep.id}`)).body.paused).toBeNull();
});

test('an execution that can be timed out after all is no failure any more', async () => {
  const { host, lapse } = world;
  await host.suspend({ minutes: 45, id: 'bad' });
  await hostTrigger(`RAISE EXCEPTION 'frozen';`);
  await lapse.post('/v1/sweeps');
  await host.pool.query('DROP FUNCTION host_trigger() CASCADE');
  await host.pool.query('UPDATE lapse.failures SET next_try_at = now()');

  expect((await lapse.post('/v1/sweeps')).body.counts).toMatchObject({ timedOut: 1, failed: 0 });

  expect((await lapse.get('/v1/failures')).body.items).toEqual([]);
});

test('a trigger that hangs costs its own execution, and the rest is swept', async () => {
  const { host, lapse } = world;
  await host.suspendMany(3, 31);
  await host.suspend({ minutes: 45, id: 'bad' });
  await hostTrigger('PERFORM pg_sleep(60);');

  const { body } = await lapse.post('/v1/sweeps?wait=60');

  expect(body).toMatchObject({ status: 'partial', counts: { timedOut: 3, failed: 1 } });
  const [failure] = (await lapse.get('/v1/failures')).body.items;
  expect(failure.lastReason).toMatch(/^57014: /);
}, 60_000);

test('what fails without any row is the fault of none: the sweep fails, and no execution is blamed', async () => {
  const { host, lapse } = world;
  await host.suspendMany(3, 31);
  await host.pool.query(
    `CREATE FUNCTION host_trigger() RETURNS trigger LANGUAGE plpgsql
       AS $$ BEGIN RAISE EXCEPTION 'closed for maintenance'; END $$`,
  );
  await host.pool.query(
    `CREATE TRIGGER host_trigger BEFORE UPDATE ON workflow_executions
       FOR EACH STATEMENT EXECUTE FUNCTION host_trigger()`,
  );

  const { body } = await lapse.post('/v1/sweeps');

  expect(body).toMatchObject({ status: 'failed', error: 'closed for maintenance', counts: { total: 0 } });
  expect((await lapse.get('/v1/failures')).body.items).toEqual([]);
  expect(await host.count('suspended')).toBe(3);
});

test("a sweep's failures are those that it was the last to try", async () => {
  const { host, lapse } = world;
  await hostTrigger(`RAISE EXCEPTION 'frozen';`);
  const sweepOf = async (id: string) => {
    await host.suspend({ minutes: 45, id });
    return (await lapse.post('/v1/sweeps')).body.id;
  };
  const [first, second] = [await sweepOf('bad-1'), await sweepOf('bad-2')];
  const failed = async (query: string) =>
    (await lapse.get(`/v1/failures?${query}`)).body.items.map(
      ({ executionId, lastReason }: { executionId: string; lastReason: string }) => `${executionId} ${lastReason}`,
    );

  expect(await failed(`sweepId=${first}`)).toEqual(['bad-1 P0001: frozen']);
  expect(await failed(`sweepId=${second}`)).toEqual(['bad-2 P0001: frozen']);
  expect(await failed(`sweepId=${second}&projectId=other`)).toEqual([]);
  expect((await lapse.get('/v1/failures?sweepId=nonsense')).status).toBe(400);
});

test('failures are listed page by page, and a tenant sees its own alone', async () => {
  const { host, lapse } = world;
  for (const tenantId of ['acme', 'globex', 'acme-2']) {
    await host.suspend({ minutes: 45, tenantId, id: `bad of ${tenantId}` });
  }
  await hostTrigger(`RAISE EXCEPTION 'frozen';`);
  await lapse.post('/v1/sweeps');
  const key = await lapse.createKey('viewer', 'acme');
  const tenants = (page: { items: ListedFailure[] }) => page.items.map(({ tenantId }) => tenantId).sort();

  const first = (await lapse.get('/v1/failures?limit=2')).body;
  const second = (await lapse.get(`/v1/failures?limit=2&cursor=${first.nextCursor}`)).body;

  expect([...tenants(first), ...tenants(second)].sort()).toEqual(['acme', 'acme-2', 'globex']);
  expect(tenants((await lapse.get('/v1/failures', key)).body)).toEqual(['acme']);
  expect((await lapse.get('/v1/failures?tenantId=globex', key)).status).toBe(404);
  expect((await lapse.get(`/v1/failures?cursor=${first.nextCursor}`, key)).status).toBe(400);
});
