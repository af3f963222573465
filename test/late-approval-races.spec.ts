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
