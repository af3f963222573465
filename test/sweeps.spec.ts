import { expect, test } from '@jest/globals';
import { APPROVAL } from './support/host.js';
import { useWorld } from './support/world.js';

const world = useWorld();

test('what waited longer than the timeout is timed out, and nothing else', async () => {
  const { host, lapse } = world;
  const overdue = await host.suspend({ minutes: 31 });
  const waiting = await host.suspend({ minutes: 29 });
  const running = await host.suspend({ minutes: 90, status: 'running' });

  const { status, body } = await lapse.post('/v1/sweeps');

  expect(status).toBe(200);
  expect(body).toMatchObject({
    trigger: 'api',
    status: 'succeeded',
    scope: { tenantId: null, projectId: null, agentId: null },
    timeoutSeconds: 1800,
    requestedBy: 'admin-key',
    counts: { timedOut: 1, skipped: 0, failed: 0, total: 1 },
  });
  expect(await host.find(overdue.id)).toMatchObject({ status: 'failed' });
  expect(await host.find(waiting.id)).toEqual(waiting);
  expect(await host.find(running.id)).toEqual(running);
});

test('an execution that is timed out says why, when and by which sweep, and keeps what its host wrote', async () => {
  const { host, lapse } = world;
  const { id } = await host.suspend({ minutes: 31 });

  const { body: sweep } = await lapse.post('/v1/sweeps');

  const { metadata, updatedAt } = await host.find(id);
  expect(metadata).toEqual({
    ...APPROVAL,
    failureReason: 'approval_timeout',
    timedOutAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    sweepId: sweep.id,
  });
  expect(Math.abs(Date.parse(`${updatedAt}Z`) - Date.parse(metadata.timedOutAt))).toBeLessThan(1);
});

test.each([
  ['nothing', null, {}],
  ['a list', [1, 2], { previousMetadata: [1, 2] }],
  ['a text', 'note', { previousMetadata: 'note' }],
  ['a number', 7, { previousMetadata: 7 }],
  ['an approval that is no object', { pendingToolApproval: 'x' }, { pendingToolApproval: 'x' }],
])('metadata that is %s is kept', async (_what, metadata, kept) => {
  const { host, lapse } = world;
  const { id } = await host.suspend({ minutes: 31, metadata });

  await lapse.post('/v1/sweeps');

  expect((await host.find(id)).metadata).toEqual({
    ...kept,
    failureReason: 'approval_timeout',
    timedOutAt: expect.any(String),
    sweepId: expect.any(String),
  });
});

test('each timeout has one ledger row with the approval that lapsed', async () => {
  const { host, lapse } = world;
  const { id } = await host.suspend({ minutes: 31 });

  const { body: sweep } = await lapse.post('/v1/sweeps');
  await lapse.post('/v1/sweeps');

  expect(await host.ledger()).toEqual([
    {
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      sweepId: sweep.id,
      tenantId: 'acme',
      executionId: id,
      toolCallId: 'call-1',
      toolName: 'issue_refund',
      timeout: 1800,
    },
  ]);
});

test('the deadline itself is overdue, a microsecond before it is not', async () => {
  const { host, lapse } = world;
  const { id: sweepId } = (await lapse.post('/v1/sweeps')).body;
  // A sweep whose cutoff is a known moment: the one before, moved to where the deadlines are.
  const { rows } = await host.pool.query(
    `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, updated_at)
     SELECT 'acme', 'support', name, 'a', 'c', 'suspended', cutoff AT TIME ZONE 'UTC' - interval '30 minutes' + late
       FROM lapse.sweeps, (VALUES ('at', interval '0'), ('before', interval '1 microsecond')) v (name, late)
      WHERE lapse.sweeps.id = $1 RETURNING id`,
    [sweepId],
  );
  expect(rows).toHaveLength(2);

  const { OverdueExecutionsRepository } = await import('../src/sweeps/overdue-executions.repository.js');
  const { TenantScope } = await import('../src/access/tenant-scope.js');
  const { inShortTransaction } = await import('../src/database/short-transaction.js');
  const { DataSource } = await import('typeorm');
  const repository = lapse.app.get(OverdueExecutionsRepository);
  const { rows: cutoffs } = await host.pool.query(
    `SELECT to_char(cutoff AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cutoff FROM lapse.sweeps WHERE id = $1`,
    [sweepId],
  );
  const due = { projectId: null, agentId: null, timeoutSeconds: 1800, cutoff: cutoffs[0].cutoff };
  const search = {
    after: null,
    limit: 10,
    tenantId: null,
    exceptTenants: [],
    newestFirst: false,
    signal: new AbortController().signal,
  };
  const items = await repository.find(TenantScope.platform(), due, search, 'sweeps');
  expect(items.map(({ id }) => id)).toEqual(['at']);
  await inShortTransaction(lapse.app.get(DataSource), { statementTimeout: 5000, lockTimeout: 1000 }, (transaction) =>
    repository.timeOut(TenantScope.platform(), due, { sweepId, mark: { partition: 0, batch: 1 }, items }, transaction),
  );

  expect((await host.find('at')).status).toBe('failed');
  expect((await host.find('before')).status).toBe('suspended');
});

test('a limit takes the oldest first', async () => {
  const { host, lapse } = world;
  const young = await host.suspend({ minutes: 40 });
  const oldest = await host.suspend({ minutes: 60 });
  const old = await host.suspend({ minutes: 50 });

  const { body } = await lapse.post('/v1/sweeps', { limit: 2 });

  expect(body.counts).toEqual({ timedOut: 2, skipped: 0, failed: 0, total: 2 });
  expect((await host.find(oldest.id)).status).toBe('failed');
  expect((await host.find(old.id)).status).toBe('failed');
  expect((await host.find(young.id)).status).toBe('suspended');
});

test('a sweep takes as many batches as it needs', async () => {
  const { host, lapse } = world;
  await host.suspendMany(2_500, 31);

  const { body } = await lapse.post('/v1/sweeps');

  expect(body.counts.timedOut).toBe(2_500);
  expect(await host.count('failed')).toBe(2_500);
  expect(new Set((await host.ledger()).map(({ executionId }) => executionId)).size).toBe(2_500);
});

test('executions that were suspended in the same microsecond are all timed out', async () => {
  const { host, lapse } = world;
  await host.suspendMany(1_100, 31);
  await host.pool.query(`UPDATE workflow_executions SET updated_at = '2026-01-01 00:00:00.123456'`);

  await lapse.post('/v1/sweeps');

  expect(await host.count('failed')).toBe(1_100);
});

test('a dry run counts what would be timed out, and changes nothing', async () => {
  const { host, lapse } = world;
  const { id } = await host.suspend({ minutes: 31 });
  const before = await host.find(id);

  const { body } = await lapse.post('/v1/sweeps', { dryRun: true });

  expect(body).toMatchObject({ dryRun: true, status: 'succeeded', counts: { timedOut: 1, total: 1 } });
  expect(await host.find(id)).toEqual(before);
  expect(await host.ledger()).toEqual([]);
});

test('a sweep may bring a timeout of its own', async () => {
  const { host, lapse } = world;
  const { id } = await host.suspend({ minutes: 2 });

  const { body } = await lapse.post('/v1/sweeps', { timeoutSeconds: 60, reason: 'the approvers left' });

  expect(body).toMatchObject({ timeoutSeconds: 60, reason: 'the approvers left', counts: { timedOut: 1 } });
  expect((await host.find(id)).status).toBe('failed');
});

test('project and agent narrow a sweep', async () => {
  const { host, lapse } = world;
  const meant = await host.suspend({ minutes: 31, projectId: 'finance', agentId: 'billing' });
  const otherAgent = await host.suspend({ minutes: 31, projectId: 'finance', agentId: 'refunds' });
  const otherProject = await host.suspend({ minutes: 31, projectId: 'support', agentId: 'billing' });

  const { body } = await lapse.post('/v1/sweeps', { projectId: 'finance', agentId: 'billing' });

  expect(body).toMatchObject({
    scope: { tenantId: null, projectId: 'finance', agentId: 'billing' },
    counts: { timedOut: 1 },
  });
  expect((await host.find(meant.id)).status).toBe('failed');
  expect((await host.find(otherAgent.id)).status).toBe('suspended');
  expect((await host.find(otherProject.id)).status).toBe('suspended');
});

test('a platform credential may sweep one tenant', async () => {
  const { host, lapse } = world;
  await host.suspend({ minutes: 31, tenantId: 'acme', id: 'one' });
  await host.suspend({ minutes: 31, tenantId: 'globex', id: 'one' });

  const { body } = await lapse.post('/v1/sweeps', { tenantId: 'acme' });

  expect(body).toMatchObject({ scope: { tenantId: 'acme' }, counts: { timedOut: 1 } });
  expect((await host.find('one', 'acme')).status).toBe('failed');
  expect((await host.find('one', 'globex')).status).toBe('suspended');
});

test("a tenant's credential sweeps its own tenant without naming it, and no foreign one", async () => {
  const { host, lapse } = world;
  const key = await lapse.createKey('operator', 'acme');
  await host.suspend({ minutes: 31, tenantId: 'acme', id: 'one' });
  await host.suspend({ minutes: 31, tenantId: 'globex', id: 'one' });

  const own = await lapse.post('/v1/sweeps', {}, key);
  const foreign = await lapse.post('/v1/sweeps', { tenantId: 'globex' }, key);
  const madeUp = await lapse.post('/v1/sweeps', { tenantId: 'no-such-tenant' }, key);

  expect(own.body).toMatchObject({ scope: { tenantId: 'acme' }, counts: { timedOut: 1 } });
  expect(foreign.status).toBe(404);
  expect({ ...foreign.body, requestId: '' }).toEqual({ ...madeUp.body, requestId: '' });
  expect((await host.find('one', 'globex')).status).toBe('suspended');
});

test('sweeps are listed newest first, page by page, and filtered', async () => {
  const { lapse } = world;
  const ids: string[] = [];
  for (const dryRun of [true, false, true]) {
    ids.unshift((await lapse.post('/v1/sweeps', { dryRun })).body.id);
  }
  await lapse.get('/api/cron/cleanup-stale-workflows', 'cron-secret-of-the-tests');

  const first = (await lapse.get('/v1/sweeps?trigger=api&limit=2')).body;
  const second = (await lapse.get(`/v1/sweeps?trigger=api&limit=2&cursor=${first.nextCursor}`)).body;

  expect([...first.items, ...second.items].map(({ id }: { id: string }) => id)).toEqual(ids);
  expect(second.nextCursor).toBeNull();
  expect((await lapse.get('/v1/sweeps?trigger=cron')).body.items).toHaveLength(1);
  expect((await lapse.get('/v1/sweeps?status=failed')).body.items).toEqual([]);
});

test("a tenant sees its own sweeps, and neither another's nor the platform's", async () => {
  const { lapse } = world;
  const key = await lapse.createKey('viewer', 'acme');
  const own = (await lapse.post('/v1/sweeps', { tenantId: 'acme' })).body;
  const foreign = (await lapse.post('/v1/sweeps', { tenantId: 'globex' })).body;
  const platform = (await lapse.post('/v1/sweeps')).body;

  expect((await lapse.get('/v1/sweeps', key)).body.items).toEqual([own]);
  expect((await lapse.get(`/v1/sweeps/${own.id}`, key)).body).toEqual(own);
  const answers = await Promise.all(
    [foreign.id, platform.id, '01890000-0000-7000-8000-000000000000'].map((id) => lapse.get(`/v1/sweeps/${id}`, key)),
  );
  expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
  expect((await lapse.get('/v1/sweeps?tenantId=globex', key)).status).toBe(404);
});
