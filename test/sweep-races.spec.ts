import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { DataSource } from 'typeorm';
import { TenantScope } from '../src/access/tenant-scope.js';
import { inShortTransaction, RECORD_LIMITS } from '../src/database/short-transaction.js';
import { BatchRuns } from '../src/sweeps/batch-runs.service.js';
import { FailuresRepository } from '../src/sweeps/failures.repository.js';
import { OverdueExecutionsRepository } from '../src/sweeps/overdue-executions.repository.js';
import type { SweepPlan } from '../src/sweeps/sweep-plan.js';
import { SweepsRepository } from '../src/sweeps/sweeps.repository.js';
import { TimeoutJob } from '../src/sweeps/timeout-job.js';
import { useWorld } from './support/world.js';

const world = useWorld();

const PLAN: SweepPlan = {
  trigger: 'api',
  scope: TenantScope.platform(),
  projectId: null,
  agentId: null,
  timeoutSeconds: 1800,
  limit: null,
  dryRun: false,
  reason: null,
  requestedBy: undefined,
  timeBudget: null,
  capacity: 'sweeps',
  lockName: 'none',
  keepLockFor: '0ms',
};

/** Sweeps without the lock, so that any number may run at once. Hands back what the sweep put on record. */
async function sweepWithoutLock(batchSize: number): Promise<{ timedOut: number; skipped: number; failed: number }> {
  const { app } = world.lapse;
  const sweeps = app.get(SweepsRepository);
  // Each under a name of its own: a sweep that starts marks others of its lock as abandoned.
  const record = { ...PLAN, lockName: randomUUID(), undoes: null };
  const { id, cutoff } = await inShortTransaction(app.get(DataSource), RECORD_LIMITS, (transaction) =>
    sweeps.start(PLAN.scope, record, transaction),
  );
  const due = { projectId: null, agentId: null, timeoutSeconds: PLAN.timeoutSeconds, cutoff };
  const job = new TimeoutJob(app.get(OverdueExecutionsRepository), app.get(FailuresRepository), {
    id,
    plan: PLAN,
    due,
  });
  const limits = { batchSize, partitions: 1, limit: null, timeBudget: null, capacity: PLAN.capacity };
  await app.get(BatchRuns).run(job, { id, scope: PLAN.scope }, limits, new AbortController().signal);
  const { timedOut, skipped, failed } = (await sweeps.find(PLAN.scope, id)) ?? {
    timedOut: -1,
    skipped: -1,
    failed: -1,
  };
  return { timedOut, skipped, failed };
}

test('no approved execution is failed, in 1,500 races of approvals and sweeps', async () => {
  const { host } = world;
  const races = 1_500;
  await host.suspendMany(races, 31);
  const approved: string[] = [];
  const order = shuffled(races);
  const approve = async (writer: number): Promise<void> => {
    for (const id of order.filter((n) => n % 8 === writer && n % 3 !== 0)) {
      const { rowCount } = await host.pool.query(
        `UPDATE workflow_executions SET status = 'running', updated_at = now()
          WHERE tenant_id = 'acme' AND project_id = 'support' AND id = $1 AND status = 'suspended'`,
        [String(id)],
      );
      if (rowCount === 1) {
        approved.push(String(id));
      }
    }
  };

  const [counts] = await Promise.all([
    sweepWithoutLock(7),
    ...Array.from({ length: 8 }, (_, writer) => approve(writer)),
  ]);
  await sweepWithoutLock(1000);

  const { rows } = await host.pool.query(`SELECT id, status FROM workflow_executions`);
  const statusOf = new Map(rows.map(({ id, status }) => [id, status]));
  expect(approved.filter((id) => statusOf.get(id) !== 'running')).toEqual([]);
  expect(await host.count('failed')).toBe(races - approved.length);
  expect((await host.ledger()).map(({ executionId }) => executionId).filter((id) => approved.includes(id))).toEqual([]);
  expect(await host.ledger()).toHaveLength(races - approved.length);
  // Without these there was no race, and the test would show nothing.
  expect(approved.length).toBeGreaterThan(50);
  expect(counts.timedOut).toBeGreaterThan(50);
});

test('an execution that is extended or locked while a sweep comes by is skipped', async () => {
  const { host } = world;
  await host.suspendMany(20, 31);
  const approval = await host.pool.connect();
  await approval.query('BEGIN');
  await approval.query(`UPDATE workflow_executions SET status = 'running' WHERE id = '7'`);

  const counts = await sweepWithoutLock(5);
  await approval.query('COMMIT');
  approval.release();

  expect(counts).toEqual({ timedOut: 19, skipped: 1, failed: 0 });
  expect((await host.find('7')).status).toBe('running');
});

test('sweeps at once, without any lock, time each execution out once between them', async () => {
  const { host } = world;
  await host.suspendMany(3_000, 31);

  const counts = await Promise.all(Array.from({ length: 6 }, () => sweepWithoutLock(100)));

  expect(counts.reduce((sum, { timedOut }) => sum + timedOut, 0)).toBe(3_000);
  expect(counts.reduce((sum, { failed }) => sum + failed, 0)).toBe(0);
  const ledger = await host.ledger();
  expect(ledger).toHaveLength(3_000);
  expect(new Set(ledger.map(({ executionId }) => executionId)).size).toBe(3_000);
});

test('a host that changes an execution while it stays overdue neither loses its change nor keeps it from timing out', async () => {
  const { host } = world;
  await host.suspendMany(400, 31);
  const annotate = async (): Promise<void> => {
    for (let id = 1; id <= 400; id += 1) {
      await host.pool.query(
        `UPDATE workflow_executions SET metadata = metadata || '{"note": true}' WHERE id = $1 AND status = 'suspended'`,
        [String(id)],
      );
    }
  };

  await Promise.all([annotate(), sweepWithoutLock(3)]);
  await sweepWithoutLock(1000);

  expect(await host.count('failed')).toBe(400);
  expect(await host.ledger()).toHaveLength(400);
});

test('twenty drop-in calls at once all answer 200, and leave nothing that their limits cover', async () => {
  const { host, lapse } = world;
  await host.suspendMany(1_950, 31);

  const answers = await Promise.all(
    Array.from({ length: 20 }, () => lapse.post('/run/api/workflows/cleanup-stale', { limit: 100 })),
  );

  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
  expect(answers.reduce((sum, { body }) => sum + body.cleanedUp, 0)).toBe(1_950);
  expect(await host.count('suspended')).toBe(0);
  expect((await lapse.post('/run/api/workflows/cleanup-stale')).body).toEqual({ cleanedUp: 0, failed: 0, total: 0 });
});

function shuffled(count: number): number[] {
  const numbers = Array.from({ length: count }, (_, at) => at + 1);
  for (let at = count - 1; at > 0; at -= 1) {
    const other = Math.floor(Math.random() * (at + 1));
    [numbers[at], numbers[other]] = [numbers[other] as number, numbers[at] as number];
  }
  return numbers;
}

test.each(['sweep', 'undo'])('a batch that has been committed already is not done again: %s', async (kind) => {
  const { host, lapse } = world;
  await host.suspendMany(3, 31);
  const before = kind === 'undo' ? (await lapse.post('/v1/sweeps?wait=60')).body.id : undefined;
  const [status, untouched] = kind === 'undo' ? ['failed', 'reopened'] : ['suspended', 'timedOut'];
  // As if the first batch of each partition had been committed by an attempt whose answer was lost.
  await host.pool.query(`
    CREATE FUNCTION commit_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO lapse.sweep_counts (sweep_id, partition, batch, done) SELECT NEW.id, p, 1, 3 FROM generate_series(0, 2) p;
      RETURN NULL;
    END $$;
    CREATE TRIGGER commit_first AFTER INSERT ON lapse.sweeps FOR EACH ROW EXECUTE FUNCTION commit_first()`);
  try {
    const { body } = before
      ? await lapse.post('/v1/undo?wait=60', { sweepId: before, reason: 'x' })
      : await lapse.post('/v1/sweeps?wait=60');

    expect(body.status).toBe('succeeded');
    expect({ ...body.counts, ...body.undone }[untouched as string]).toBe(0);
    expect(await host.count(status as 'failed' | 'suspended')).toBe(3);
  } finally {
    await host.pool.query('DROP FUNCTION commit_first CASCADE');
  }
});
