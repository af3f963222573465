import { expect, test } from '@jest/globals';
import type { Answer } from './support/lapse.js';
import { NIGHT, sweepANight } from './support/night.js';
import { useWorld } from './support/world.js';

const world = useWorld({ LAPSE_APPROVAL_TIMEOUT: '1h' });
const REASON = 'the timeout was set to 3 minutes';

const undo = (body: Record<string, unknown>, key?: string): Promise<Answer> =>
  world.lapse.post('/v1/undo?wait=60', { reason: REASON, ...body }, key);

/** Executions of a tenant by status. */
async function statuses(tenantId: string): Promise<Record<string, number>> {
  const { rows } = await world.host.pool.query(
    'SELECT status, count(*)::int AS n FROM workflow_executions WHERE tenant_id = $1 GROUP BY status',
    [tenantId],
  );
  return Object.fromEntries(rows.map(({ status, n }) => [status, n]));
}

test('a preview counts what would become of each and changes nothing, and the undo does just that', async () => {
  await sweepANight(world.host, { sweeps: 6, perTenant: 2 });
  const { pool } = world.host;
  await pool.query(`UPDATE workflow_executions SET status = 'running' WHERE id = 'acme-1-1'`);
  await pool.query(`DELETE FROM workflow_executions WHERE id = 'acme-2-1'`);
  const before = (await pool.query('SELECT * FROM workflow_executions ORDER BY id')).rows;

  const preview = await undo({ ...NIGHT, tenantId: 'acme', dryRun: true, reason: undefined });

  expect(preview.body).toMatchObject({
    ...{ kind: 'undo', dryRun: true, status: 'succeeded', undoes: null, expected: 12, warnings: [] },
    range: NIGHT,
    scope: { tenantId: 'acme' },
    undone: { reopened: 10, changedSince: 1, gone: 1, alreadyReopened: 0 },
  });
  expect((await pool.query('SELECT * FROM workflow_executions ORDER BY id')).rows).toEqual(before);

  const { body } = await undo({ ...NIGHT, tenantId: 'acme' });
  expect(body).toMatchObject({ dryRun: false, reason: REASON, undone: preview.body.undone, counts: { total: 12 } });
  expect(await statuses('acme')).toEqual({ suspended: 10, running: 1 });
  expect(await statuses('globex')).toEqual({ failed: 12 });
  expect((await undo({ ...NIGHT, tenantId: 'acme' })).body.undone).toEqual({
    ...{ reopened: 0, changedSince: 1, gone: 1, alreadyReopened: 10 },
  });
  const { items } = (await world.lapse.get(`/v1/sweeps/${body.id}/timeouts?limit=500`)).body;
  expect(items.map(({ tenantId }: { tenantId: string }) => tenantId)).toEqual(Array(12).fill('acme'));
  const audited = (await world.lapse.get('/v1/audit-log?action=sweep.undo')).body.items;
  expect(audited.find(({ target }: { target: string }) => target === body.id)).toMatchObject({
    details: {
      from: '2026-11-24T22:00:00.000000Z',
      to: '2026-11-25T06:00:00.000000Z',
      undoes: null,
      dryRun: false,
      reason: REASON,
    },
  });
});

test('what is changed between the preview and the run is left alone', async () => {
  await sweepANight(world.host, { sweeps: 2, perTenant: 1 });
  expect((await undo({ ...NIGHT, tenantId: 'acme', dryRun: true })).body.undone.reopened).toBe(2);
  await world.host.pool.query(`UPDATE workflow_executions SET status = 'running' WHERE id = 'acme-1-1'`);

  expect((await undo({ ...NIGHT, tenantId: 'acme' })).body.undone).toMatchObject({ reopened: 1, changedSince: 1 });

  expect((await world.host.find('acme-1-1')).status).toBe('running');
});

test('two undos of overlapping periods at once reopen each execution once', async () => {
  await sweepANight(world.host, { sweeps: 40, perTenant: 10 });
  const [a, b, c] = await Promise.all([
    undo({ ...NIGHT, tenantId: 'acme' }),
    undo({ from: NIGHT.from, to: '2026-11-24T22:20:00.000Z', tenantId: 'acme' }),
    undo({ ...NIGHT }),
  ]);
  expect([a, b, c].map(({ body }) => body.status)).toEqual(Array(3).fill('succeeded'));
  expect(a.body.undone.reopened + b.body.undone.reopened + c.body.undone.reopened).toBe(800);
  expect(await world.host.count('suspended')).toBe(800);
});

test('the ends of the period, project, agent and sweep narrow it', async () => {
  const [, second] = await sweepANight(world.host, { sweeps: 3, perTenant: 1 });
  await world.host.pool.query(`UPDATE lapse.timeouts SET project_id = 'finance' WHERE execution_id = 'acme-3-1'`);
  const preview = async (body: Record<string, unknown>) =>
    (await undo({ ...NIGHT, ...body, dryRun: true })).body.counts.total;

  expect(await preview({})).toBe(6);
  expect(await preview({ from: '2026-11-24T22:02:00Z', to: '2026-11-24T22:03:00Z' })).toBe(2);
  expect(await preview({ projectId: 'finance' })).toBe(1);
  expect(await preview({ projectId: 'finance', agentId: 'nobody' })).toBe(0);
  expect(await preview({ sweepId: second })).toBe(2);
  expect(await preview({ sweepId: second, from: undefined, to: undefined })).toBe(2);
  expect(await preview({ sweepId: second, to: '2026-11-24T22:01:00Z' })).toBe(0);
  expect(await preview({ sweepId: second, tenantId: 'globex' })).toBe(1);
});

test.each<[string, Record<string, unknown>, string[]]>([
  ['no bound', {}, ['body.from', 'body.to']],
  ['half a period', { from: NIGHT.from }, ['body.to']],
  ['no bound but a tenant', { tenantId: 'acme' }, ['body.from', 'body.to']],
  ['a period that ends before it begins', { from: NIGHT.to, to: NIGHT.from }, ['body.to']],
  ['an empty period', { from: NIGHT.from, to: NIGHT.from }, ['body.to']],
  ['times that are none', { from: 'yesterday', to: 5 }, ['body.from', 'body.to']],
  ['no reason', { ...NIGHT, reason: undefined }, ['body.reason']],
  ['a sweep that is none', { sweepId: 'x' }, ['body.sweepId']],
  ['a limit', { ...NIGHT, limit: 5 }, ['body.limit']],
])('an undo with %s is refused', async (_what, body, paths) => {
  const answer = await undo(body);
  expect([answer.status, answer.body.errors.map(({ path }: { path: string }) => path)]).toEqual([400, paths]);
});

test('it warns if the configured timeout is no longer than the one used then, before and after', async () => {
  await sweepANight(world.host, { sweeps: 1, perTenant: 1, timeoutSeconds: 3_600 });
  for (const dryRun of [true, false]) {
    expect((await undo({ ...NIGHT, dryRun })).body.warnings).toEqual([
      expect.stringMatching(/^The configured timeout \(1h\) is no longer than the one used then \(1h\)/),
    ]);
  }
  expect((await undo({ ...NIGHT })).body.warnings).toEqual([]);
});

test("a tenant's operator takes back its own executions alone, and can not name another tenant", async () => {
  const [sweepId] = await sweepANight(world.host, { sweeps: 2, perTenant: 1 });
  const acme = await world.lapse.createKey('operator', 'acme');
  const initech = await world.lapse.createKey('operator', 'initech');
  const viewer = await world.lapse.createKey('viewer', 'acme');

  expect((await undo({ ...NIGHT, tenantId: 'globex' }, acme)).body.code).toBe('tenant_not_found');
  expect((await undo({ sweepId }, initech)).body.code).toBe('sweep_not_found');
  expect((await world.lapse.post(`/v1/sweeps/${sweepId}/undo`, { reason: 'x' }, initech)).status).toBe(404);
  expect((await undo({ ...NIGHT }, viewer)).status).toBe(403);
  expect((await undo({ ...NIGHT }, initech)).body).toMatchObject({ expected: 0, counts: { total: 0 } });

  const ofSweep = (await undo({ sweepId }, acme)).body;
  expect(ofSweep).toMatchObject({ undoes: sweepId, scope: { tenantId: 'acme' }, undone: { reopened: 1 } });
  expect((await undo({ ...NIGHT }, acme)).body.undone).toMatchObject({ reopened: 1, alreadyReopened: 1 });
  expect([await statuses('acme'), await statuses('globex')]).toEqual([{ suspended: 2 }, { failed: 2 }]);
  const globex = await world.lapse.createKey('operator', 'globex');
  expect((await world.lapse.get(`/v1/sweeps/${ofSweep.id}`, globex)).status).toBe(404);
  const { body } = await world.lapse.post(`/v1/sweeps/${sweepId}/undo?wait=60`, { reason: 'x' }, globex);
  expect(body).toMatchObject({ scope: { tenantId: 'globex' }, undone: { reopened: 1, alreadyReopened: 0 } });
});
