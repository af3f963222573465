import { afterEach, expect, test } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { ResurrectionsService } from '../src/timeouts/resurrections.service.js';
import { Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();
const detect = (lapse = world.lapse) => lapse.app.get(ResurrectionsService, { strict: false }).detect();
const sql = (text: string, values?: unknown[]) => world.host.pool.query(text, values);
const REASON = { reason: 'the timeout was set too short' };

const sweep = async (): Promise<string> => (await world.lapse.post('/v1/sweeps')).body.id;
const timeouts = async (query = '', key?: string) => (await world.lapse.get(`/v1/timeouts?${query}`, key)).body.items;
const resurrected = async () => (await timeouts('resurrected=true')).map(outline);
const outline = ({ sweepId, resurrectedStatus }: { sweepId: string; resurrectedStatus: string }) => [
  sweepId,
  resurrectedStatus,
];

async function timeOut(id: string, tenantId = 'acme'): Promise<string> {
  await world.host.suspend({ id, minutes: 31, tenantId });
  return sweep();
}

/** As the reference host does it: by key alone, and the metadata is replaced. */
const approve = (id: string, tenantId = 'acme') =>
  sql(
    `UPDATE workflow_executions SET status = 'running', metadata = '{"pendingToolApproval": null}', updated_at = now()
      WHERE id = $1 AND tenant_id = $2`,
    [id, tenantId],
  );
const suspendAgain = (id: string, tenantId = 'acme') =>
  sql(
    `UPDATE workflow_executions SET status = 'suspended', updated_at = now() - interval '31 minutes',
            metadata = '{"pendingToolApproval": {"toolCallId": "call-2", "toolName": "t"}}'
      WHERE id = $1 AND tenant_id = $2`,
    [id, tenantId],
  );

/** Timed out, approved late, suspended again and timed out again. @returns the two sweeps. */
async function timeOutTwice(id: string, tenantId = 'acme'): Promise<[string, string]> {
  const first = await timeOut(id, tenantId);
  await approve(id, tenantId);
  await suspendAgain(id, tenantId);
  return [first, await sweep()];
}

async function reopen(sweepId: string, executionId: string): Promise<string> {
  const { items } = (await world.lapse.get(`/v1/sweeps/${sweepId}/timeouts?executionId=${executionId}`)).body;
  return (await world.lapse.post(`/v1/timeouts/${items[0].id}/reopen`, REASON)).body.outcome;
}

test('a late approval is found although the execution has timed out again since', async () => {
  const [first] = await timeOutTwice('twice');

  expect(await detect()).toBe(1);
  expect(await detect()).toBe(0);

  expect(await resurrected()).toEqual([[first, 'failed']]);
});

test('each late approval of an execution is found, however often it timed out', async () => {
  const [first, second] = await timeOutTwice('often');
  await approve('often');
  await suspendAgain('often');
  const third = await sweep();
  expect(await detect()).toBe(2);
  await approve('often');
  expect(await detect()).toBe(1);

  expect(await resurrected()).toEqual([
    [third, 'running'],
    [second, 'failed'],
    [first, 'failed'],
  ]);
});

test('an earlier timeout is not judged by the status that reopening a later one gave the execution', async () => {
  const [first, second] = await timeOutTwice('twice');
  expect(await reopen(second, 'twice')).toBe('reopened');

  expect(await detect()).toBe(1);

  expect(await resurrected()).toEqual([[first, 'failed']]);
});

test('nor by undoing the later sweep', async () => {
  const [first, second] = await timeOutTwice('twice');
  await world.lapse.post(`/v1/sweeps/${second}/undo?wait=60`, REASON);
  expect(await detect()).toBe(1);
  expect(await resurrected()).toEqual([[first, 'failed']]);
});

test('a late approval that was found before its execution timed out again and was reopened is not found twice', async () => {
  const first = await timeOut('known');
  await approve('known');
  expect(await detect()).toBe(1);
  await suspendAgain('known');
  await reopen(await sweep(), 'known');
  expect(await detect()).toBe(0);
  expect(await resurrected()).toEqual([[first, 'running']]);
});

test('of an execution that was reopened and timed out again, the late approval belongs to the second timeout', async () => {
  await reopen(await timeOut('late'), 'late');
  await sql(`UPDATE workflow_executions SET updated_at = now() - interval '31 minutes'`);
  const second = await sweep();
  expect(await detect()).toBe(0);
  await approve('late');
  expect(await detect()).toBe(1);
  expect(await resurrected()).toEqual([[second, 'running']]);
});

test('what happens to an execution of another tenant with the same id says nothing', async () => {
  const first = await timeOut('same');
  const [foreignFirst, foreignSecond] = await timeOutTwice('same', 'globex');
  await reopen(foreignSecond, 'same');
  await approve('same');

  expect(await detect()).toBe(2);

  expect((await timeouts('resurrected=true&tenantId=acme')).map(outline)).toEqual([[first, 'running']]);
  expect((await timeouts('resurrected=true&tenantId=globex')).map(outline)).toEqual([[foreignFirst, 'failed']]);
  const globex = await world.lapse.createKey('viewer', 'globex');
  expect((await timeouts('resurrected=true', globex)).map(outline)).toEqual([[foreignFirst, 'failed']]);
});

test.each(['running', 'suspended', 'timed out again'])(
  'an execution that was deleted and inserted anew with the same id, now %s, has not come back',
  async (status) => {
    await timeOut('anew');
    await sql('DELETE FROM workflow_executions');
    await world.host.suspend({ id: 'anew', minutes: 31, status: status === 'running' ? 'running' : 'suspended' });
    if (status === 'timed out again') {
      await sweep();
    }
    expect(await detect()).toBe(0);
  },
);

test('an execution that was deleted and put back as it was, and then approved, has come back', async () => {
  await timeOut('back');
  const { rows } = await sql('DELETE FROM workflow_executions RETURNING row_to_json(workflow_executions)::text AS row');
  await sql('INSERT INTO workflow_executions SELECT * FROM json_populate_record(NULL::workflow_executions, $1)', [
    rows[0].row,
  ]);
  await approve('back');
  expect(await detect()).toBe(1);
});

test.each<[string, string]>([
  ['nothing', 'NULL'],
  ['an error, as the reference host does when a run fails', `'{"error": "run failed"}'`],
  ['a list', `'["approval_timeout"]'`],
  ['a sweep that is none', `metadata || '{"sweepId": "x"}'`],
  ['a sweep that Lapse does not know', `metadata || '{"sweepId": "01890000-0000-7000-8000-000000000000"}'`],
  ['a sweep that Lapse does not know yet', `metadata || '{"sweepId": "ffffffff-ffff-7fff-bfff-ffffffffffff"}'`],
  ['an undo', `metadata || jsonb_build_object('sweepId', (SELECT id FROM lapse.sweeps WHERE undoes IS NOT NULL))`],
  ['an earlier sweep', `metadata || jsonb_build_object('sweepId', (SELECT min(id::text) FROM lapse.sweeps))`],
  [
    "another tenant's sweep",
    `metadata || jsonb_build_object('sweepId', (SELECT id FROM lapse.sweeps WHERE tenant_id = 'globex'))`,
  ],
])(
  'an execution that stays failed and whose metadata the host replaces by %s has not come back',
  async (_what, value) => {
    const earlier = await timeOut('earlier');
    await timeOut('failed');
    await world.lapse.post(`/v1/sweeps/${earlier}/undo?wait=60`, REASON);
    await world.lapse.post('/v1/sweeps', { tenantId: 'globex' });
    await sql(`UPDATE workflow_executions SET metadata = ${value}, updated_at = now() WHERE id = 'failed'`);

    expect(await detect()).toBe(0);
  },
);

test('a look neither waits for a reopening that is under way nor reports it', async () => {
  await timeOut('first');
  await timeOut('second');
  await approve('first');
  await approve('second');
  const reopening = await world.host.pool.connect();
  await reopening.query(`BEGIN; UPDATE lapse.timeouts SET reopened_at = now() WHERE execution_id = 'first'`);

  const found = await detect().finally(async () => {
    await reopening.query('COMMIT');
    reopening.release();
  });

  expect(found).toBe(1);
  expect(await detect()).toBe(0);
});

test('of looks of several replicas at once, one records and reports each execution', async () => {
  await world.host.suspendMany(6_000, 31);
  await world.lapse.post('/v1/sweeps?wait=60');
  await sql(`UPDATE workflow_executions SET status = 'running', updated_at = now() WHERE id::int % 2 = 0`);
  const other = await Lapse.start(world.databaseUrl);
  try {
    const counts = await Promise.all([detect(), detect(other), detect(), detect(other)]);
    expect(counts.reduce((sum, count) => sum + count, 0) + (await detect())).toBe(3_000);
  } finally {
    await other.stop();
  }
});

afterEach(() => Logger.overrideLogger(false));

test('one look logs one warning with the total and at most ten examples', async () => {
  const warnings: string[] = [];
  const none = () => undefined;
  Logger.overrideLogger({ log: none, error: none, warn: (message: string) => warnings.push(message) });
  await world.host.suspendMany(6_000, 31);
  await world.lapse.post('/v1/sweeps?wait=60');
  await detect();
  expect(warnings).toEqual([]);
  await sql(`UPDATE workflow_executions SET status = 'running' WHERE id::int % 3 = 0`);

  expect(await detect()).toBe(2_000);

  expect(warnings).toEqual([expect.stringContaining('without being reopened: 2000, such as execution ')]);
  expect(warnings[0]?.match(/execution \d+ of tenant acme, project support/g)).toHaveLength(10);
  await sql(`UPDATE workflow_executions SET status = 'running' WHERE id = '1'`);
  await detect();
  expect(warnings[1]).toMatch(
    /reopened: 1: execution 1 of tenant acme, project support \(timeout \S+, was seen running\)\. /,
  );
  expect(warnings).toHaveLength(2);
});
