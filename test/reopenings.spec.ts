import { expect, test } from '@jest/globals';
import type { Answer } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();
const REASON = { reason: 'the timeout was set too short' };

/** Times everything out that is overdue. @returns the id of the sweep. */
async function sweep(body: Record<string, unknown> = {}): Promise<string> {
  return (await world.lapse.post('/v1/sweeps', body)).body.id;
}

async function timeoutsOf(sweepId: string): Promise<{ id: string; executionId: string; outcome: string | null }[]> {
  return (await world.lapse.get(`/v1/sweeps/${sweepId}/timeouts?limit=500`)).body.items;
}

async function timeOut(id: string, metadata?: unknown): Promise<{ timeoutId: string; sweepId: string }> {
  await world.host.suspend({ id, minutes: 31, ...(metadata === undefined ? {} : { metadata }) });
  const sweepId = await sweep();
  const [timeout] = await timeoutsOf(sweepId);
  return { timeoutId: timeout?.id as string, sweepId };
}

const reopen = (timeoutId: string, key?: string): Promise<Answer> =>
  world.lapse.post(`/v1/timeouts/${timeoutId}/reopen`, REASON, key);
const undo = (sweepId: string, key?: string): Promise<Answer> =>
  world.lapse.post(`/v1/sweeps/${sweepId}/undo?wait=60`, REASON, key);

test('a timeout is taken back: suspended from now on, with its own metadata and a fresh deadline', async () => {
  const metadata = { continuationStreamNamespace: 's', pendingToolApproval: { toolCallId: 'c', toolName: 't' } };
  const { timeoutId } = await timeOut('late', metadata);

  const { status, body } = await reopen(timeoutId);

  expect([status, body]).toEqual([200, { timeoutId, outcome: 'reopened' }]);
  expect(await world.host.find('late')).toMatchObject({ status: 'suspended', metadata });
  const execution = await world.lapse.get('/v1/tenants/acme/projects/support/executions/late');
  expect(execution.body.overdue).toBe(false);
  expect(await sweep()).toBeDefined();
  expect((await world.host.find('late')).status).toBe('suspended');
});

test.each<[string, unknown]>([
  ['nothing', null],
  ['a list', [1, { a: 2 }]],
  ['a number', 7],
  ['an object with members named like ours', { failureReason: 'budget', sweepId: 'x', timedOutAt: 5, more: true }],
  ['an object that keeps previous metadata itself', { previousMetadata: { a: 1 } }],
  ['an empty object', {}],
])('metadata that was %s is had back', async (_what, metadata) => {
  await world.host.suspend({ id: 'odd', minutes: 31 });
  await world.host.pool.query(`UPDATE workflow_executions SET metadata = $1::jsonb`, [
    metadata === null ? null : JSON.stringify(metadata),
  ]);
  const [timeout] = await timeoutsOf(await sweep());
  expect((await world.host.find('odd')).metadata).toMatchObject({ failureReason: 'approval_timeout' });

  await reopen(timeout?.id as string);

  expect((await world.host.find('odd')).metadata).toEqual(metadata);
});

test('metadata that was the JSON null is had back as that', async () => {
  await world.host.suspend({ id: 'odd', minutes: 31 });
  await world.host.pool.query(`UPDATE workflow_executions SET metadata = 'null'`);
  const [timeout] = await timeoutsOf(await sweep());
  await reopen(timeout?.id as string);
  const { rows } = await world.host.pool.query(`SELECT metadata::text FROM workflow_executions`);
  expect(rows).toEqual([{ metadata: 'null' }]);
});

test('a reopened execution can lapse again, and both timeouts are in the ledger', async () => {
  const { timeoutId } = await timeOut('late');
  await reopen(timeoutId);
  await world.host.pool.query(`UPDATE workflow_executions SET updated_at = now() - interval '31 minutes'`);

  const second = await sweep();

  const { body } = await world.lapse.get('/v1/timeouts?executionId=late');
  expect(body.items).toMatchObject([
    { sweepId: second, reopenedAt: null },
    { id: timeoutId, trigger: 'api', reopenedBy: 'admin-key', reopenReason: REASON.reason, undoId: null },
  ]);
  expect((await reopen(timeoutId)).body.outcome).toBe('already_reopened');
  expect((await world.host.find('late')).status).toBe('failed');
});

test.each<[string, string, string]>([
  ['approved late', `UPDATE workflow_executions SET status = 'running', updated_at = now()`, 'changed_since'],
  ['touched', `UPDATE workflow_executions SET updated_at = updated_at + interval '1 microsecond'`, 'changed_since'],
  [
    'marked otherwise',
    `UPDATE workflow_executions SET metadata = metadata || '{"failureReason": "x"}'`,
    'changed_since',
  ],
  ['marked by another', `UPDATE workflow_executions SET metadata = metadata || '{"sweepId": "x"}'`, 'changed_since'],
  ['deleted', 'DELETE FROM workflow_executions', 'gone'],
])('an execution that was %s since stays as it is', async (_what, sql, outcome) => {
  const { timeoutId } = await timeOut('late');
  await world.host.pool.query(sql);
  const before = await world.host.find('late');

  expect((await reopen(timeoutId)).body.outcome).toBe(outcome);

  expect(await world.host.find('late')).toEqual(before);
  expect((await world.lapse.get('/v1/timeouts')).body.items).toMatchObject([{ reopenedAt: null }]);
});

test('reopening says who did it and why, on the audit log too', async () => {
  const key = await world.lapse.createKey('operator', 'acme');
  const { timeoutId } = await timeOut('late');
  const { headers } = await reopen(timeoutId, key);

  const [timeout] = (await world.lapse.get('/v1/timeouts')).body.items;
  expect(timeout.reopenedBy).toMatch(/^api-key:/);
  const { body } = await world.lapse.get(`/v1/audit-log?requestId=${headers.get('x-request-id')}`);
  expect(body.items).toMatchObject([
    { action: 'timeout.reopen', target: timeoutId, outcome: 'done', details: { ...REASON, outcome: 'reopened' } },
  ]);
});

test("another tenant's timeouts and sweeps can be neither reopened nor undone, as if they were not there", async () => {
  const foreign = await world.lapse.createKey('operator', 'globex');
  const { timeoutId, sweepId } = await timeOut('late');
  const own = await sweep({ tenantId: 'acme' });

  expect((await reopen(timeoutId, foreign)).body.code).toBe('timeout_not_found');
  expect((await undo(sweepId, foreign)).body.code).toBe('sweep_not_found');
  expect((await undo(own, foreign)).body.code).toBe('sweep_not_found');
  expect((await world.host.find('late')).status).toBe('failed');
});

test('undoing a sweep reopens what is as it left it, and tells of each execution what became of it', async () => {
  const { host, lapse } = world;
  await host.suspendMany(50, 31);
  const sweepId = await sweep();
  const [first] = await timeoutsOf(sweepId);
  await reopen(first?.id as string);
  const [approved, deleted] = ['10', '11'];
  await host.pool.query(`UPDATE workflow_executions SET status = 'running' WHERE id = $1`, [approved]);
  await host.pool.query('DELETE FROM workflow_executions WHERE id = $1', [deleted]);

  const { status, body } = await undo(sweepId);

  expect(status).toBe(200);
  expect(body).toMatchObject({
    kind: 'undo',
    undoes: sweepId,
    status: 'succeeded',
    reason: REASON.reason,
    undone: { reopened: 47, changedSince: 1, gone: 1, alreadyReopened: 1 },
    counts: { timedOut: 0, failed: 0, total: 50 },
  });
  const outcomes = new Map((await timeoutsOf(body.id)).map(({ executionId, outcome }) => [executionId, outcome]));
  expect(outcomes.size).toBe(50);
  expect([outcomes.get(approved), outcomes.get(deleted), outcomes.get(first?.executionId as string)]).toEqual([
    'changed_since',
    'gone',
    'already_reopened',
  ]);
  expect(await host.count('suspended')).toBe(48);
  expect((await lapse.get('/v1/sweeps')).body.items[0]).toMatchObject({ id: body.id, kind: 'undo' });
});

test('undoing twice changes nothing', async () => {
  const { host } = world;
  await host.suspendMany(20, 31);
  const sweepId = await sweep();
  await undo(sweepId);
  const rows = 'SELECT * FROM workflow_executions ORDER BY id';
  const before = (await host.pool.query(rows)).rows;

  expect((await undo(sweepId)).body.undone).toEqual({ reopened: 0, changedSince: 0, gone: 0, alreadyReopened: 20 });

  expect((await host.pool.query(rows)).rows).toEqual(before);
});

test('an execution that the host keeps from being reopened costs itself alone, and its reason is told', async () => {
  const { host, lapse } = world;
  await host.suspendMany(30, 31);
  const sweepId = await sweep();
  await host.pool.query(`
    CREATE FUNCTION keep_failed() RETURNS trigger LANGUAGE plpgsql
      AS $$ BEGIN IF NEW.id = '7' THEN RAISE 'closed for good'; END IF; RETURN NEW; END $$;
    CREATE TRIGGER keep_failed BEFORE UPDATE ON workflow_executions FOR EACH ROW EXECUTE FUNCTION keep_failed()`);
  try {
    const { body } = await undo(sweepId);
    expect(body).toMatchObject({ status: 'partial', undone: { reopened: 29 }, counts: { failed: 1, total: 30 } });
    const { items } = (await lapse.get(`/v1/sweeps/${body.id}/timeouts`)).body;
    const [seventh] = items.filter(({ executionId }: { executionId: string }) => executionId === '7');
    const refused = await reopen(seventh.id);
    expect([refused.status, refused.body.code]).toEqual([409, 'reopen_refused']);
    expect(refused.body.detail).toMatch('closed for good');
    expect(items.filter(({ outcome }: { outcome: string }) => outcome === 'failed')).toMatchObject([
      { executionId: '7', failure: 'P0001: closed for good' },
    ]);
  } finally {
    await host.pool.query('DROP FUNCTION keep_failed() CASCADE');
  }
});

test('what can not be undone is refused with its reason', async () => {
  const { host, lapse } = world;
  await host.suspendMany(3, 31);
  const dryRun = await sweep({ dryRun: true });
  const undone = (await undo(await sweep())).body.id;
  await host.suspendMany(3, 31, 'globex');
  await host.slowDown(0.5);
  const running = (await lapse.post('/v1/sweeps?wait=0')).body.id;

  const refusals = await Promise.all([dryRun, undone, running].map((id) => undo(id)));
  await host.speedUp();

  expect(refusals.map(({ status, body }) => [status, body.code])).toEqual(Array(3).fill([409, 'sweep_not_undoable']));
  expect(refusals.map(({ body }) => body.detail)).toEqual([
    expect.stringContaining('dry run'),
    expect.stringContaining('undo itself'),
    expect.stringContaining('still running'),
  ]);
});

test.each(['timeouts/01890000-0000-7000-8000-000000000000/reopen', 'sweeps/01890000-0000-7000-8000-000000000000/undo'])(
  '%s wants a reason, and an id that is there',
  async (path) => {
    const { lapse } = world;
    for (const body of [undefined, {}, { reason: '' }, { reason: 5 }]) {
      const answer = await lapse.post(`/v1/${path}`, body);
      expect([answer.status, answer.body.errors[0].path]).toEqual([400, 'body.reason']);
    }
    expect((await lapse.post(`/v1/${path}`, REASON)).status).toBe(404);
    expect((await lapse.post(`/v1/${path.replace(/01890[^/]+/, 'nonsense')}`, REASON)).status).toBe(400);
  },
);

test('an undo is cancelled like any sweep, and the next one goes on', async () => {
  const { host, lapse } = world;
  await host.suspendMany(3_000, 31);
  const sweepId = await sweep();
  await host.slowDown(0.0005);
  const { body: begun, status } = await lapse.post(`/v1/sweeps/${sweepId}/undo?wait=0`, REASON);
  expect(status).toBe(202);
  await lapse.post(`/v1/sweeps/${begun.id}/cancel`);
  await host.speedUp();
  const { body } = await undo(sweepId);

  const first = (await lapse.get(`/v1/sweeps/${begun.id}`)).body;
  expect(first.status).toBe('cancelled');
  expect(body.undone.reopened + first.undone.reopened).toBe(3_000);
  expect(body.undone.alreadyReopened).toBe(first.undone.reopened);
  expect(await host.count('suspended')).toBe(3_000);
});
