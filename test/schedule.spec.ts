import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { SchedulerRegistry } from '@nestjs/schedule';
import { Housekeeping } from '../src/sweeps/housekeeping.service.js';
import { SweepsScheduler } from '../src/sweeps/sweeps.scheduler.js';
import { eventually } from './support/eventually.js';
import { Lapse } from './support/lapse.js';
import { useDatabase } from './support/world.js';

const world = useDatabase();

beforeEach(() => world.host.clear());
afterEach(() => Lapse.stopAll());

function startReplica(environment: Record<string, string> = {}): Promise<Lapse> {
  return Lapse.start(world.databaseUrl, environment);
}

function schedulerOf(replica: Lapse): SweepsScheduler {
  return replica.app.get(SweepsScheduler, { strict: false });
}

function housekeepingOf(replica: Lapse): Housekeeping {
  return replica.app.get(Housekeeping, { strict: false });
}

async function scheduledSweeps(): Promise<{ second: number; started: number; finished: number; status: string }[]> {
  const { rows } = await world.host.pool.query(
    `SELECT extract(epoch FROM date_trunc('second', started_at))::int AS second, status,
            extract(epoch FROM started_at)::float AS started, extract(epoch FROM finished_at)::float AS finished
       FROM lapse.sweeps WHERE trigger = 'schedule' AND status <> 'running' ORDER BY started_at`,
  );
  return rows;
}

test('three replicas on a schedule of every second sweep once a second between them, and never overlap', async () => {
  await world.host.suspendMany(10, 31);
  await Promise.all([1, 2, 3].map(() => startReplica({ LAPSE_SWEEP_CRON: '* * * * * *' })));

  const sweeps = await eventually(scheduledSweeps, (found) => found.length >= 6);

  const seconds = sweeps.map(({ second }) => second);
  expect(new Set(seconds).size).toBe(seconds.length);
  expect(sweeps.every(({ started }, at) => at === 0 || started >= (sweeps[at - 1]?.finished ?? 0))).toBe(true);
  expect(await world.host.count('failed')).toBe(10);
  expect(await world.host.ledger()).toHaveLength(10);
});

test.each([0, 300, 800])('of two replicas whose clocks differ by %d ms, one sweeps at a tick', async (skew) => {
  const [early, late] = [
    await startReplica({ LAPSE_SWEEP_CRON: '0 0 1 1 *' }),
    await startReplica({ LAPSE_SWEEP_CRON: '0 0 1 1 *' }),
  ];

  await Promise.all([schedulerOf(early).tick(), delay(skew).then(() => schedulerOf(late).tick())]);

  expect(await scheduledSweeps()).toHaveLength(1);
});

test('the schedule follows LAPSE_SWEEP_CRON in UTC, and off means off', async () => {
  const daily = await startReplica({ LAPSE_SWEEP_CRON: '30 4 * * *' });
  const off = await startReplica({ LAPSE_SWEEP_CRON: 'off' });

  const job = daily.app.get(SchedulerRegistry, { strict: false }).getCronJob('sweep');
  expect(job.isActive).toBe(true);
  expect(job.nextDate().toUTC().toFormat('HH:mm')).toBe('04:30');
  expect(off.app.get(SchedulerRegistry, { strict: false }).getCronJob('sweep').isActive).toBe(false);
});

test('a tick stops at its time budget, and the next one goes on', async () => {
  const replica = await startReplica({ LAPSE_SWEEP_TIME_BUDGET: '1s', LAPSE_SWEEP_BATCH_SIZE: '10' });
  await world.host.suspendMany(200, 31);
  await world.host.slowDown(0.015);

  await schedulerOf(replica).tick();
  const afterOne = await world.host.count('failed');
  await schedulerOf(replica).tick();
  const afterTwo = await world.host.count('failed');
  await world.host.speedUp();

  expect(afterOne).toBeGreaterThan(0);
  expect(afterOne).toBeLessThan(200);
  expect(afterTwo).toBeGreaterThan(afterOne);
  expect((await scheduledSweeps()).map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
});

test('shutdown waits for the tick that runs: its sweep stops after a batch and is on record as interrupted', async () => {
  const replica = await Lapse.start(world.databaseUrl, { LAPSE_SWEEP_BATCH_SIZE: '10' });
  await world.host.suspendMany(1_000, 31);
  await world.host.slowDown(0.01);
  let ended = false;
  void schedulerOf(replica)
    .tick()
    .then(() => {
      ended = true;
    });
  await eventually(
    () => world.host.count('failed'),
    (count) => count > 0,
  );

  await replica.stop();

  expect(ended).toBe(true);
  const sweeps = await scheduledSweeps();
  await world.host.speedUp();
  expect(sweeps.map(({ status }) => status)).toEqual(['interrupted']);
  expect(await world.host.count('suspended')).toBeGreaterThan(0);
});

test('the schedule takes smaller batches than a person who waits, so that the host feels it less', async () => {
  const replica = await startReplica({ LAPSE_SWEEP_BATCH_SIZE: '8' });
  const batches = async (): Promise<number> => {
    const { rows } = await world.host.pool.query(
      'SELECT count(DISTINCT timed_out_at)::int AS batches FROM lapse.timeouts',
    );
    return rows[0].batches;
  };

  await world.host.suspendMany(8, 31);
  await schedulerOf(replica).tick();
  expect(await batches()).toBe(4);

  await world.host.clear();
  await world.host.suspendMany(8, 31);
  await replica.post('/v1/sweeps', { limit: 8 });
  expect(await batches()).toBe(1);
});

test('a sweep that a dead process left running is marked interrupted by housekeeping, whatever its scope and trigger', async () => {
  const replica = await startReplica();
  await world.host.pool.query(
    `INSERT INTO lapse.sweeps (trigger, tenant_id, dry_run, timeout_seconds, requested_by, lock_name, timed_out)
     VALUES ('api', 'acme', false, 1800, 'somebody', 'sweep of tenant acme', 7), ('schedule', NULL, false, 1800, 'schedule', 'sweep', 3)`,
  );

  await housekeepingOf(replica).run();

  const { items } = (await replica.get('/v1/sweeps?status=interrupted')).body;
  expect(
    items.map(({ counts, finishedAt }: { counts: { timedOut: number }; finishedAt: string | null }) => [
      counts.timedOut,
      finishedAt !== null,
    ]),
  ).toEqual(
    expect.arrayContaining([
      [7, true],
      [3, true],
    ]),
  );
});

test('empty scheduled sweeps are kept for a day, others for 90', async () => {
  const replica = await startReplica();
  await world.host.pool.query(
    `INSERT INTO lapse.sweeps (trigger, status, dry_run, timeout_seconds, requested_by, lock_name, reason, timed_out, started_at, finished_at)
     SELECT trigger, 'succeeded', false, 1800, 'x', 'sweep', name, timed_out, now() - days * interval '1 day', now() - days * interval '1 day'
       FROM (VALUES ('empty, 23 hours', 'schedule', 0, 0.95), ('empty, 2 days', 'schedule', 0, 2), ('full, 2 days', 'schedule', 1, 2),
                    ('requested, 2 days', 'api', 0, 2), ('full, 91 days', 'schedule', 1, 91)) v (name, trigger, timed_out, days)`,
  );

  await housekeepingOf(replica).run();

  const { rows } = await world.host.pool.query(
    'SELECT reason FROM lapse.sweeps WHERE reason IS NOT NULL ORDER BY reason',
  );
  expect(rows.map(({ reason }) => reason)).toEqual(['empty, 23 hours', 'full, 2 days', 'requested, 2 days']);
});

test('a failure whose execution needs no timing out any more is forgotten', async () => {
  const replica = await startReplica();
  await world.host.suspend({ minutes: 90, id: 'approved', status: 'running' });
  await world.host.suspend({ minutes: 1, id: 'waiting' });
  await world.host.pool.query(
    `INSERT INTO lapse.failures (tenant_id, project_id, execution_id, next_try_at, last_reason, last_sweep_id)
     SELECT 'acme', 'support', id, now() - interval '1 minute', 'x', gen_random_uuid() FROM unnest(ARRAY['approved', 'waiting', 'deleted']) id`,
  );

  await housekeepingOf(replica).run();

  const { items } = (await replica.get('/v1/failures')).body;
  expect(items.map(({ executionId }: { executionId: string }) => executionId)).toEqual(['waiting']);
});
