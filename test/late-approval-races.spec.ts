import { expect, test } from '@jest/globals';
import { LateApprovalGuard } from '../src/timeouts/late-approval-guard.service.js';
import { ResurrectionsService } from '../src/timeouts/resurrections.service.js';
import { ADA } from './support/people.js';
import { useWorld } from './support/world.js';

const world = useWorld();

test('each of 1,000 races of approving, timing out and reopening ends in exactly one consistent story', async () => {
  const { host, lapse } = world;
  const guard = lapse.app.get(LateApprovalGuard, { strict: false });
  const races = 1_000;
  await host.suspendMany(races, 31);
  await guard.install(ADA);
  const approved = new Set<string>();
  const refused = new Set<string>();
  const numbers = Array.from({ length: races }, (_, n) => String(n + 1));
  const approveAll = async (writer: number) => {
    for (const id of numbers.filter((n) => Number(n) % 4 === writer)) {
      await host.pool
        .query(`UPDATE workflow_executions SET status = 'running', metadata = NULL, updated_at = now() WHERE id = $1`, [
          id,
        ])
        .then(
          () => approved.add(id),
          () => refused.add(id),
        );
    }
  };
  const reopenAll = async () => {
    for (let round = 0; round < 40; round += 1) {
      const { items } = (await lapse.get('/v1/timeouts?limit=25')).body;
      await Promise.all(
        items.map(({ id }: { id: string }) => lapse.post(`/v1/timeouts/${id}/reopen`, { reason: 'race' })),
      );
    }
  };
  const sweepAll = async () => {
    for (let round = 0; round < 20; round += 1) {
      await lapse.post('/v1/sweeps', { limit: 60 });
    }
  };

  await Promise.all([approveAll(0), approveAll(1), approveAll(2), approveAll(3), sweepAll(), reopenAll()]);
  await lapse.app.get(ResurrectionsService, { strict: false }).detect();
  await guard.remove(ADA);

  const { rows } = await host.pool.query(`
    SELECT e.id, e.status, e.metadata ? 'failureReason' AS marked, count(t.*)::int AS timeouts,
           count(t.*) FILTER (WHERE t.reopened_at IS NOT NULL)::int AS reopened,
           count(t.*) FILTER (WHERE t.resurrected_at IS NOT NULL)::int AS resurrected
      FROM workflow_executions e LEFT JOIN lapse.timeouts t ON t.execution_id = e.id GROUP BY 1, 2, 3`);
  expect(rows).toHaveLength(races);
  const stories = rows.map((row) => {
    const { id, status, marked, timeouts, reopened, resurrected } = row;
    const isFailed = status === 'failed' && marked && timeouts === reopened + 1 && refused.has(id) && !approved.has(id);
    const isRunning = status === 'running' && !marked && timeouts === reopened && approved.has(id);
    const waitsAgain = status === 'suspended' && !marked && timeouts === reopened && refused.has(id);
    return (isFailed || isRunning || waitsAgain) && resurrected === 0 ? 'consistent' : row;
  });
  expect(stories.filter((story) => story !== 'consistent')).toEqual([]);
  expect(new Set(rows.map(({ status }) => status)).size).toBeGreaterThan(1);
}, 60_000);

test('whatever happens at once, exactly the timeouts that a late approval took back are found, each once', async () => {
  const { host, lapse } = world;
  const executions = 150;
  await host.suspendMany(executions, 31);
  const takenBack: string[] = [];
  let reopenings = 0;
  let found = 0;
  let over = false;
  const untilOver = async (work: () => Promise<void>) => {
    while (!over) {
      await work();
    }
  };

  /** By key alone, and the metadata is replaced; the marker that was there says which timeout it took back. */
  const approve = async (id: number) => {
    const { rows } = await host.pool.query(
      `WITH old AS (SELECT id, metadata ->> 'sweepId' AS sweep FROM workflow_executions
                     WHERE id = $1 AND status = 'failed' FOR UPDATE)
       UPDATE workflow_executions e SET status = 'running', metadata = '{}', updated_at = now() FROM old WHERE e.id = old.id
       RETURNING old.id || ' ' || old.sweep AS taken`,
      [String(id)],
    );
    takenBack.push(...rows.map(({ taken }) => taken));
  };
  /** What was approved asks again, and it and what was reopened are overdue at once. */
  const suspendAgain = async () => {
    await host.pool.query(
      `UPDATE workflow_executions SET status = 'suspended', updated_at = now() - interval '1 day' - (now() - $1::timestamptz)
        WHERE status IN ('running', 'suspended') AND updated_at > now() - interval '1 hour'`,
      [startedAt],
    );
  };
  const reopen = async () => {
    const { items } = (await lapse.get('/v1/timeouts?limit=20')).body;
    for (const { id } of items.filter((_: unknown, n: number) => n % 4 === 0)) {
      const { body } = await lapse.post(`/v1/timeouts/${id}/reopen`, { reason: 'race' });
      reopenings += body.outcome === 'reopened' ? 1 : 0;
    }
  };
  const look = async () => {
    const count = await lapse.app.get(ResurrectionsService, { strict: false }).detect();
    found += count;
  };
  const startedAt = new Date();
  const approveAll = async () => {
    for (let round = 0; round < 3; round += 1) {
      for (let id = 1; id <= executions; id += 1) {
        await approve(id);
      }
    }
    over = true;
  };
  const sweep = async () => {
    await lapse.post('/v1/sweeps');
  };

  await Promise.all([approveAll(), ...[sweep, suspendAgain, reopen, look, look].map(untilOver)]);
  await look();

  const { rows } = await host.pool.query(
    `SELECT execution_id || ' ' || sweep_id AS taken FROM lapse.timeouts WHERE resurrected_at IS NOT NULL`,
  );
  expect(rows.map(({ taken }) => taken).sort()).toEqual([...takenBack].sort());
  expect(found).toBe(takenBack.length);
  const { rows: both } = await host.pool.query(
    `SELECT count(*) FILTER (WHERE reopened_at IS NOT NULL)::int AS reopened,
            count(*) FILTER (WHERE reopened_at IS NOT NULL AND resurrected_at IS NOT NULL)::int AS both FROM lapse.timeouts`,
  );
  expect(both).toEqual([{ reopened: reopenings, both: 0 }]);
  // Without these there was no race, and the test would show nothing.
  expect(takenBack.length).toBeGreaterThan(50);
  expect(reopenings).toBeGreaterThan(10);
  const { rows: again } = await host.pool.query(
    'SELECT execution_id FROM lapse.timeouts GROUP BY 1 HAVING count(*) > 1',
  );
  expect(again.length).toBeGreaterThan(20);
}, 60_000);
