import { afterEach, expect, test } from '@jest/globals';
import { Housekeeping } from '../src/sweeps/housekeeping.service.js';
import { SweepsScheduler } from '../src/sweeps/sweeps.scheduler.js';
import { Lapse } from './support/lapse.js';
import { roleOfLapse } from './support/people.js';
import { useWorld } from './support/world.js';

const world = useWorld({ LAPSE_SWEEP_TIME_BUDGET: '10s' });

afterEach(() => world.host.pool.query('DROP FUNCTION IF EXISTS host_trigger() CASCADE'));

/** What the host's table does with each update of an execution of the tenant `noisy`. */
async function noisyTenant(body: string, timing: 'BEFORE' | 'AFTER' = 'BEFORE'): Promise<void> {
  await world.host.pool.query(
    `CREATE FUNCTION host_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN IF NEW.tenant_id = 'noisy' THEN ${body} END IF; RETURN NEW; END $$;
     CREATE TRIGGER host_trigger ${timing} UPDATE ON workflow_executions FOR EACH ROW EXECUTE FUNCTION host_trigger()`,
  );
}

function tick(): Promise<void> {
  return world.lapse.app.get(SweepsScheduler, { strict: false }).tick();
}

async function statuses(tenantId: string): Promise<Record<string, number>> {
  const { rows } = await world.host.pool.query(
    'SELECT status, count(*)::int AS count FROM workflow_executions WHERE tenant_id = $1 GROUP BY 1',
    [tenantId],
  );
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}

async function failures(): Promise<number> {
  return (await world.host.pool.query('SELECT count(*)::int AS count FROM lapse.failures')).rows[0].count;
}

test.each([
  ['raises', `RAISE EXCEPTION 'frozen';`, 5_000],
  ['hangs', 'PERFORM pg_sleep(60);', 150],
  ['is slow', 'PERFORM pg_sleep(0.3);', 150],
  ['keeps updates away', 'RETURN NULL;', 2_000],
])(
  'older executions of a tenant whose trigger %s do not delay those of another tenant beyond one tick',
  async (_what, body, count) => {
    const { host } = world;
    await host.suspendMany(count, 60, 'noisy');
    await host.suspendMany(10, 31, 'acme');
    await noisyTenant(body);

    await tick();

    expect(await statuses('acme')).toEqual({ failed: 10 });
  },
  60_000,
);

test('a tenant whose executions keep failing is left alone as a whole, then tried again, and recovers', async () => {
  const { host, lapse } = world;
  await host.suspendMany(500, 60, 'noisy');
  await noisyTenant(`RAISE EXCEPTION 'frozen';`);

  await tick();
  const afterFirst = await failures();
  await tick();
  const afterSecond = await failures();
  await host.pool.query('UPDATE lapse.failing_tenants SET next_try_at = now()');
  await tick();
  const afterThird = await failures();

  expect(afterFirst).toBeGreaterThan(0);
  expect(afterFirst).toBeLessThanOrEqual(50);
  expect(afterSecond).toBe(afterFirst);
  expect(afterThird).toBeGreaterThan(afterSecond);
  const { rows } = await host.pool.query(
    'SELECT tenant_id, sqlstate, backoffs, next_try_at > now() AS waits FROM lapse.failing_tenants',
  );
  expect(rows).toEqual([{ tenant_id: 'noisy', sqlstate: 'P0001', backoffs: 2, waits: true }]);
  const { items } = (await lapse.get('/v1/sweeps?limit=1')).body;
  expect(items).toMatchObject([
    { status: 'partial', error: expect.stringMatching(/noisy keep failing.*P0001: frozen/) },
  ]);

  await host.pool.query('DROP FUNCTION host_trigger() CASCADE');
  await host.pool.query('UPDATE lapse.failing_tenants SET next_try_at = now()');
  await host.pool.query('UPDATE lapse.failures SET next_try_at = now()');
  await tick();
  expect(await statuses('noisy')).toEqual({ failed: 500 });
  expect(await failures()).toBe(0);
  expect((await host.pool.query('SELECT FROM lapse.failing_tenants')).rows).toEqual([]);
});

test('a new execution of a tenant whose older ones fail is timed out when the tenant is tried again', async () => {
  const { host } = world;
  await host.suspendMany(200, 60, 'noisy');
  await noisyTenant(`IF NEW.id <> 'new' THEN RAISE EXCEPTION 'frozen'; END IF;`);
  await tick();
  await host.suspend({ minutes: 31, tenantId: 'noisy', id: 'new' });
  await host.pool.query('UPDATE lapse.failing_tenants SET next_try_at = now()');

  await tick();

  expect((await host.find('new', 'noisy')).status).toBe('failed');
});

test('a person who requests a sweep of a failing tenant has it tried at once', async () => {
  const { host, lapse } = world;
  await host.suspendMany(200, 60, 'noisy');
  await noisyTenant(`RAISE EXCEPTION 'frozen';`);
  await tick();
  await host.pool.query('DROP FUNCTION host_trigger() CASCADE');

  const { body } = await lapse.post('/v1/sweeps', { tenantId: 'noisy' });

  expect(body.counts).toMatchObject({ timedOut: 200 - (await failures()), failed: 0 });
});

test('executions that wait for a lock of the host are retried, and none is recorded as a failure', async () => {
  const { host, lapse } = world;
  await host.suspendMany(2_000, 31, 'noisy');
  await noisyTenant('PERFORM pg_sleep(0.0006);', 'AFTER');

  const { body } = await lapse.post('/v1/sweeps?wait=60');

  expect(body).toMatchObject({ status: 'succeeded', counts: { timedOut: 2_000, failed: 0 } });
}, 60_000);

test('the cleanup of settled failures reaches all of them', async () => {
  const { host, lapse } = world;
  await host.suspendMany(2_500, 31);
  await host.pool.query(
    `INSERT INTO lapse.failures (tenant_id, project_id, execution_id, next_try_at, last_reason, last_sweep_id)
     SELECT tenant_id, project_id, id, now() - interval '1 minute', 'x', gen_random_uuid() FROM workflow_executions`,
  );
  await host.pool.query(`UPDATE workflow_executions SET status = 'running' WHERE id IN ('999', '5')`);

  await lapse.app.get(Housekeeping, { strict: false }).run();

  expect(await failures()).toBe(2_498);
});

test('a search that takes longer than a batch may is no failure of any execution', async () => {
  const { host, databaseUrl } = world;
  await host.suspendMany(20, 31);
  const role = await roleOfLapse(databaseUrl);
  // Row-level security delays the search by three seconds, and nothing else.
  await host.pool.query(
    `CREATE FUNCTION seen(id text) RETURNS boolean LANGUAGE plpgsql AS $$
       BEGIN
         IF id = '7' AND current_query() LIKE '%NOT EXISTS%LIMIT 3000%' THEN PERFORM pg_sleep(3); END IF;
         RETURN true;
       END $$;
     CREATE POLICY seen ON workflow_executions USING (seen(id));
     ALTER TABLE workflow_executions ENABLE ROW LEVEL SECURITY`,
  );
  const lapse = await Lapse.start(role.url);
  try {
    const { body } = await lapse.post('/v1/sweeps?wait=60');

    expect(body).toMatchObject({ status: 'succeeded', counts: { timedOut: 20, skipped: 0, failed: 0 } });
    expect(body.durationMs).toBeGreaterThan(3_000);
  } finally {
    await lapse.stop();
    await host.pool.query('ALTER TABLE workflow_executions DISABLE ROW LEVEL SECURITY');
    await host.pool.query('DROP POLICY seen ON workflow_executions; DROP FUNCTION seen(text)');
    await role.drop();
  }
}, 60_000);
