import { afterEach, expect, test } from '@jest/globals';
import { SweepsScheduler } from '../src/sweeps/sweeps.scheduler.js';
import { eventually } from './support/eventually.js';
import { useWorld } from './support/world.js';

const world = useWorld({ LAPSE_SWEEP_BATCH_SIZE: '20', LAPSE_SWEEP_TIME_BUDGET: '2s' });

afterEach(async () => {
  const { items } = (await world.lapse.get('/v1/sweeps?status=running')).body;
  await Promise.all(items.map(({ id }: { id: string }) => world.lapse.post(`/v1/sweeps/${id}/cancel`)));
  await world.host.speedUp();
  await eventually(
    () => world.lapse.get('/v1/sweeps?status=running'),
    ({ body }) => body.items.length === 0,
  );
});

function tick(): Promise<void> {
  return world.lapse.app.get(SweepsScheduler, { strict: false }).tick();
}

test('a requested sweep of one agent does not keep the schedule from running', async () => {
  const { host, lapse } = world;
  await host.suspendMany(300, 31);
  await host.suspend({ minutes: 40, agentId: 'other', id: 'other' });
  await host.pool.query(
    `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END $$;
     CREATE TRIGGER slow BEFORE UPDATE ON workflow_executions FOR EACH ROW WHEN (OLD.agent_id = 'refund-agent') EXECUTE FUNCTION slow()`,
  );
  const { body } = await lapse.post('/v1/sweeps?wait=0', { agentId: 'refund-agent' });

  void tick();
  await eventually(
    () => host.find('other'),
    ({ status }) => status === 'failed',
  );

  expect((await lapse.get(`/v1/sweeps/${body.id}`)).body.status).toBe('running');
}, 60_000);

test("sixty tenants' requested sweeps leave the schedule, readiness and short reads what they need", async () => {
  const { host, lapse } = world;
  for (let tenant = 1; tenant <= 60; tenant += 1) {
    await host.suspendMany(5, 31, `tenant-${tenant}`);
  }
  await host.slowDown(0.2);

  const requests = Array.from({ length: 60 }, (_, at) =>
    lapse.post('/v1/sweeps?wait=30', { tenantId: `tenant-${at + 1}` }),
  );
  const probes: number[] = [];
  for (let probe = 0; probe < 9; probe += 1) {
    probes.push((await lapse.get('/health/ready')).status, (await lapse.get('/v1/api-keys')).status);
  }
  await tick();
  const answers = await Promise.all(requests);
  await host.speedUp();

  expect(probes).toEqual(probes.map(() => 200));
  const { rows } = await host.pool.query(`SELECT status, error FROM lapse.sweeps WHERE trigger = 'schedule'`);
  expect(rows).toEqual([{ status: 'succeeded', error: null }]);
  const refused = answers.filter(({ status }) => status === 429);
  expect(answers.every(({ status }) => [200, 202, 429].includes(status))).toBe(true);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused[0]?.body).toMatchObject({ code: 'too_many_sweeps' });
  expect(refused[0]?.headers.get('retry-after')).toBe('5');
}, 120_000);

test('one tenant that requests many sweeps at once does not use up the places of others', async () => {
  const { host, lapse } = world;
  await host.suspendMany(200, 31, 'acme');
  await host.suspendMany(1, 31, 'globex');
  await host.pool.query(
    `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
     CREATE TRIGGER slow BEFORE UPDATE ON workflow_executions FOR EACH ROW WHEN (OLD.tenant_id = 'acme') EXECUTE FUNCTION slow()`,
  );
  const acme = Array.from({ length: 20 }, () => lapse.post('/v1/sweeps?wait=0', { tenantId: 'acme' }));

  const globex = await lapse.post('/v1/sweeps', { tenantId: 'globex' });
  const answers = await Promise.all(acme);

  expect(globex).toMatchObject({ status: 200, body: { counts: { timedOut: 1 } } });
  expect(answers.map(({ status }) => status).sort()).toEqual([202, ...Array(19).fill(409)]);
}, 60_000);

test('a table lock of the host makes answers about it wait or fail, and nothing else', async () => {
  const { host, lapse } = world;
  const blocker = await host.pool.connect();
  await blocker.query('BEGIN');
  await blocker.query('LOCK TABLE workflow_executions IN ACCESS EXCLUSIVE MODE');

  const reads = Array.from({ length: 12 }, () => lapse.get('/v1/executions'));
  const others = await Promise.all(
    ['/v1/sweeps', '/v1/api-keys', '/health/ready', '/v1/timeouts'].map((path) => lapse.get(path)),
  );
  const whileLocked = await Promise.all(reads);
  await blocker.query('COMMIT');
  blocker.release();

  expect(others.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(whileLocked.every(({ status }) => status === 503)).toBe(true);
  expect((await lapse.get('/v1/executions')).status).toBe(200);
}, 60_000);
