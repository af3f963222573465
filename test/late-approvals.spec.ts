import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { Housekeeping } from '../src/sweeps/housekeeping.service.js';
import { LateApprovalGuard } from '../src/timeouts/late-approval-guard.service.js';
import { ResurrectionsService } from '../src/timeouts/resurrections.service.js';
import { eventually } from './support/eventually.js';
import { Lapse } from './support/lapse.js';
import { ADA } from './support/people.js';
import { useWorld } from './support/world.js';

const world = useWorld();
const guard = () => world.lapse.app.get(LateApprovalGuard, { strict: false });
const detect = () => world.lapse.app.get(ResurrectionsService, { strict: false }).detect();

/** The reference host: what it does when somebody presses the button, however late. */
async function approve(id: string, toolsRun: string[]): Promise<void> {
  await world.host.pool.query(
    `UPDATE workflow_executions SET status = 'running', metadata = $2, updated_at = now() WHERE id = $1`,
    [id, { continuationStreamNamespace: 'resumed' }],
  );
  toolsRun.push(id);
}

async function timeOut(...ids: string[]): Promise<string> {
  for (const id of ids) {
    await world.host.suspend({ id, minutes: 31 });
  }
  return (await world.lapse.post('/v1/sweeps')).body.id;
}

/** As the first version of Lapse installed it. */
const OLDER_GUARD = `
  CREATE FUNCTION lapse.guard_timeouts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('lapse.reopening', true) = 'on' THEN RETURN NULL; END IF;
    RAISE EXCEPTION 'refused' USING ERRCODE = 'LP001';
  END $$;
  CREATE TRIGGER zz_lapse_guard AFTER UPDATE ON workflow_executions FOR EACH ROW WHEN (OLD.status = 'failed')
    EXECUTE FUNCTION lapse.guard_timeouts()`;

const resurrected = async (key?: string) => (await world.lapse.get('/v1/timeouts?resurrected=true', key)).body.items;

describe('with the guard', () => {
  beforeEach(() => guard().install(ADA));
  afterEach(() => guard().remove(ADA));

  test('a late approval is refused before the tool runs, and told what happened, when, and who can mend it', async () => {
    const sweepId = await timeOut('late');
    const toolsRun: string[] = [];

    const refusal = await approve('late', toolsRun).catch((error: unknown) => error as pg.DatabaseError);

    expect(toolsRun).toEqual([]);
    expect(refusal).toMatchObject({
      code: 'LP001',
      message: expect.stringMatching(
        /^Execution "late" of tenant "acme" timed out .* at \d{4}-.*Z and can not become "running"$/,
      ),
      detail: expect.stringContaining(sweepId),
      hint: expect.stringMatching(/POST \/v1\/timeouts\/\{timeoutId\}\/reopen/),
    });
    expect(await world.host.find('late')).toMatchObject({ status: 'failed', metadata: { sweepId } });
    expect(await detect()).toBe(0);
    expect(await resurrected()).toEqual([]);
  });

  test.each([
    ['completed', `status = 'completed'`],
    ['suspended', `status = 'suspended', metadata = '{}'`],
    ['another word', `status = 'cancelled'`],
  ])('a timed-out execution can not become %s either', async (_what, change) => {
    await timeOut('late');
    await expect(world.host.pool.query(`UPDATE workflow_executions SET ${change}`)).rejects.toMatchObject({
      code: 'LP001',
    });
  });

  test.each<[string, string, object]>([
    ['an object', `'{"note": 1}'`, { note: 1 }],
    ['nothing', 'NULL', {}],
    ['a list', `'[1]'`, { previousMetadata: [1] }],
    ['markers of its own', `'{"failureReason": "other", "note": 2}'`, { note: 2 }],
  ])('an update that leaves it failed and replaces its metadata by %s keeps the markers', async (_what, sql, rest) => {
    const sweepId = await timeOut('late');
    await world.host.pool.query(`UPDATE workflow_executions SET metadata = ${sql}, updated_at = now()`);
    expect((await world.host.find('late')).metadata).toEqual({
      ...rest,
      failureReason: 'approval_timeout',
      timedOutAt: expect.any(String),
      sweepId,
    });
  });

  test('triggers of the host find their own tables when the markers are put back', async () => {
    await world.host.pool.query(`
      CREATE TABLE changes (id text);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO changes VALUES (NEW.id); RETURN NEW; END $$;
      CREATE TRIGGER note BEFORE UPDATE ON workflow_executions FOR EACH ROW EXECUTE FUNCTION note()`);
    try {
      const sweepId = await timeOut('late');
      await world.host.pool.query(`UPDATE workflow_executions SET metadata = '{"note": 1}'`);
      expect((await world.host.find('late')).metadata).toMatchObject({ note: 1, sweepId });
    } finally {
      await world.host.pool.query('DROP FUNCTION note() CASCADE; DROP TABLE changes');
    }
  });

  test('markers that are not whole are kept as they are', async () => {
    const metadata = { failureReason: 'approval_timeout', timedOutAt: null };
    await world.host.suspend({ id: 'odd', minutes: 5, status: 'failed', metadata });
    await world.host.pool.query(`UPDATE workflow_executions SET metadata = '{"note": 1}'`);
    expect((await world.host.find('odd')).metadata).toMatchObject({ failureReason: 'approval_timeout', note: 1 });
  });

  test("executions that Lapse didn't time out change as ever", async () => {
    const { host } = world;
    await host.suspend({ id: 'waits', minutes: 5 });
    await host.suspend({ id: 'broken', minutes: 5, status: 'failed', metadata: { failureReason: 'tool_error' } });
    await host.suspend({ id: 'bare', minutes: 5, status: 'failed', metadata: null });
    await host.pool.query(`UPDATE workflow_executions SET status = 'running'`);
    expect(await host.count('running')).toBe(3);
  });

  test('reopening and undoing pass it', async () => {
    const { host, lapse } = world;
    const sweepId = await timeOut('one', 'two');
    const [timeout] = (await lapse.get(`/v1/sweeps/${sweepId}/timeouts`)).body.items;
    const reason = { reason: 'too short' };
    expect((await lapse.post(`/v1/timeouts/${timeout.id}/reopen`, reason)).body.outcome).toBe('reopened');
    expect((await lapse.post(`/v1/sweeps/${sweepId}/undo`, reason)).body.undone.reopened).toBe(1);
    await host.pool.query(`UPDATE workflow_executions SET status = 'running'`);
    expect(await host.count('running')).toBe(2);
  });

  test('it is there after it was installed twice, and says when it is switched off or of another version', async () => {
    await guard().install(ADA);
    expect(await guard().status()).toBe('installed');
    await world.host.pool.query('ALTER TABLE workflow_executions DISABLE TRIGGER zz_lapse_guard');
    expect(await guard().status()).toBe('disabled');
    await guard().install(ADA);
    expect(await guard().status()).toBe('installed');
    await world.host.pool.query(
      `CREATE OR REPLACE FUNCTION public.lapse_guard_timeouts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`,
    );
    expect(await guard().status()).toBe('outdated');
    await guard().remove(ADA);
    expect(await guard().status()).toBe('missing');
    await guard().remove(ADA);
  });

  test('the guard of an older version is outdated, lets an undo pass, and is replaced', async () => {
    const { pool } = world.host;
    await guard().remove(ADA);
    await pool.query(OLDER_GUARD);
    expect(await guard().examine()).toMatchObject({
      state: 'outdated',
      reason: expect.stringMatching(/is not that of this version/),
    });
    const sweepId = await timeOut('late');
    const undo = await world.lapse.post(`/v1/sweeps/${sweepId}/undo`, { reason: 'too short' });
    expect(undo.body.undone.reopened).toBe(1);
    await guard().install(ADA);
    expect(await guard().status()).toBe('installed');
    const { rows } = await pool.query(`SELECT to_regprocedure('lapse.guard_timeouts()') AS older`);
    expect(rows).toEqual([{ older: null }]);
  });

  test('a trigger of the host that changes what becomes of the update does not slip through', async () => {
    await world.host.pool.query(`
      CREATE FUNCTION revive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.status := 'running'; RETURN NEW; END $$;
      CREATE TRIGGER revive BEFORE UPDATE ON workflow_executions FOR EACH ROW WHEN (NEW.request_id = 'x') EXECUTE FUNCTION revive()`);
    try {
      await timeOut('late');
      const update = world.host.pool.query(`UPDATE workflow_executions SET request_id = 'x'`);
      await expect(update).rejects.toMatchObject({ code: 'LP001' });
    } finally {
      await world.host.pool.query('DROP FUNCTION revive() CASCADE');
    }
  });
});

test('somebody who writes to the table for long keeps the guard from being installed, but nobody waits behind it', async () => {
  const writer = await world.host.pool.connect();
  await world.host.suspend({ id: 'waits', minutes: 5 });
  await writer.query('BEGIN');
  await writer.query(`UPDATE workflow_executions SET request_id = 'long'`);
  const installed = guard().install(ADA);
  await world.host.suspend({ id: 'other', minutes: 5 });
  await writer.query('COMMIT');
  writer.release();
  await installed;
  expect(await guard().status()).toBe('installed');
  await guard().remove(ADA);
});

describe('without the guard', () => {
  test('a late approval is found at the next look, recorded once, and told to its own tenant alone', async () => {
    const { lapse, host } = world;
    const [acme, globex] = [await lapse.createKey('viewer', 'acme'), await lapse.createKey('viewer', 'globex')];
    await timeOut('late', 'stays');
    await approve('late', []);

    expect(await detect()).toBe(1);
    expect(await detect()).toBe(0);

    expect(await resurrected(acme)).toMatchObject([
      {
        executionId: 'late',
        resurrectedStatus: 'running',
        resurrectedAt: expect.stringMatching(/Z$/),
        reopenedAt: null,
      },
    ]);
    expect(await resurrected(globex)).toEqual([]);
    await host.pool.query(`UPDATE workflow_executions SET status = 'completed' WHERE id = 'late'`);
    expect(await detect()).toBe(0);
    expect(await resurrected()).toMatchObject([{ resurrectedStatus: 'running' }]);
    const others = (await lapse.get('/v1/timeouts?resurrected=false')).body.items;
    expect(others).toMatchObject([{ executionId: 'stays' }]);
  });

  test('housekeeping looks for late approvals whatever triggers the sweeps', async () => {
    await timeOut('late');
    await approve('late', []);
    const replica = await Lapse.start(world.databaseUrl, { LAPSE_SWEEP_CRON: 'off' }, { housekeeping: true });
    try {
      const items = await eventually(
        () => resurrected(),
        (found) => found.length > 0,
        25_000,
      );
      expect(items).toMatchObject([{ executionId: 'late', resurrectedStatus: 'running' }]);
    } finally {
      await replica.stop();
    }
  });

  test('what was reopened, is gone or is still failed has not come back', async () => {
    const { lapse, host } = world;
    const sweepId = await timeOut('reopened', 'deleted', 'failed');
    const { items } = (await lapse.get(`/v1/sweeps/${sweepId}/timeouts?executionId=reopened`)).body;
    await lapse.post(`/v1/timeouts/${items[0].id}/reopen`, { reason: 'too short' });
    await host.pool.query(`DELETE FROM workflow_executions WHERE id = 'deleted'`);
    await host.pool.query(`UPDATE workflow_executions SET metadata = '{}', updated_at = now() WHERE id = 'failed'`);
    expect(await detect()).toBe(0);
  });

  test('timeouts are watched for seven days', async () => {
    const { host } = world;
    await timeOut('old', 'young');
    const aged = (days: number) =>
      `lpad(to_hex((extract(epoch FROM now() - interval '${days} days') * 1000)::bigint), 12, '0') || substr(replace(id::text, '-', ''), 13)`;
    await host.pool.query(`UPDATE lapse.timeouts SET id = (${aged(8)})::uuid WHERE execution_id = 'old'`);
    await host.pool.query(`UPDATE lapse.timeouts SET id = (${aged(6)})::uuid WHERE execution_id = 'young'`);
    await approve('old', []);
    await approve('young', []);
    expect(await detect()).toBe(1);
    expect(await resurrected()).toMatchObject([{ executionId: 'young' }]);
  });

  test('more than one look may cost are looked at in turns, none of them left out', async () => {
    const { host } = world;
    await host.suspendMany(12_000, 31);
    await world.lapse.post('/v1/sweeps?wait=60');
    await host.pool.query(`UPDATE workflow_executions SET status = 'running' WHERE id IN ('1', '6000', '12000')`);
    expect(await detect()).toBe(3);
  });

  test('housekeeping looks for late approvals once a minute at most', async () => {
    const tidy = () => world.lapse.app.get(Housekeeping, { strict: false }).run();
    await timeOut('first', 'second');
    await approve('first', []);
    await tidy();
    await approve('second', []);
    await tidy();

    const found = (await resurrected()).map(({ executionId }: { executionId: string }) => executionId);
    expect(found).toContain('first');
    expect(found).not.toContain('second');
  });
});
