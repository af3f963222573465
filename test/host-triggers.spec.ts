import { afterEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { ResurrectionsService } from '../src/timeouts/resurrections.service.js';
import { createDatabase, dropDatabase } from './support/databases.js';
import { Host } from './support/host.js';
import { Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld();
const sql = (text: string) => world.host.pool.query(text);
const REASON = { reason: 'the timeout was set too short' };

/** A trigger of the host's; it goes after the test. */
async function createTrigger(when: string, body: string, pool: pg.Pool = world.host.pool): Promise<void> {
  await pool.query(`
    CREATE FUNCTION host_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} RETURN NEW; END $$;
    CREATE ${when} EXECUTE FUNCTION host_trigger()`);
}

afterEach(async () => {
  await sql('DROP FUNCTION IF EXISTS host_trigger() CASCADE');
  await sql('ALTER TABLE workflow_executions ALTER updated_at SET NOT NULL').catch(() => undefined);
});

const BEFORE = 'TRIGGER host_trigger BEFORE UPDATE ON workflow_executions FOR EACH ROW';
const AFTER = 'TRIGGER host_trigger AFTER UPDATE ON workflow_executions FOR EACH ROW';
const OF_ROW = 'tenant_id = NEW.tenant_id AND project_id = NEW.project_id AND id = NEW.id';
const bump = (value: string) =>
  `IF NEW.status <> OLD.status THEN UPDATE workflow_executions SET updated_at = ${value} WHERE ${OF_ROW}; END IF;`;

const TRIGGERS: [string, string, string][] = [
  ['sets updated_at to the clock', BEFORE, `NEW.updated_at := clock_timestamp();`],
  ['sets updated_at to the past', BEFORE, `NEW.updated_at := '2001-01-01';`],
  ['keeps updated_at', BEFORE, 'NEW.updated_at := OLD.updated_at;'],
  ['sets updated_at to infinity', BEFORE, `NEW.updated_at := 'infinity';`],
  ['sets updated_at to -infinity', BEFORE, `NEW.updated_at := '-infinity';`],
  ['sets updated_at to NULL', BEFORE, 'NEW.updated_at := NULL;'],
  ['adds to the metadata', BEFORE, `NEW.metadata := NEW.metadata || '{"note": 1}';`],
  ['updates the row once more', AFTER, bump(`NEW.updated_at + interval '1 microsecond'`)],
  ['updates the row to the past', AFTER, bump(`'2001-01-01'`)],
  [
    'updates the row in a subtransaction',
    AFTER,
    `BEGIN ${bump('clock_timestamp()')} EXCEPTION WHEN division_by_zero THEN NULL; END;`,
  ],
  [
    'updates the row when the transaction commits',
    deferred('DEFERRABLE INITIALLY DEFERRED'),
    bump('clock_timestamp()'),
  ],
  [
    'updates the rows after each statement',
    'TRIGGER host_trigger AFTER UPDATE ON workflow_executions REFERENCING NEW TABLE AS written FOR EACH STATEMENT',
    `IF pg_trigger_depth() = 1 THEN
       UPDATE workflow_executions e SET updated_at = clock_timestamp() FROM written w
        WHERE e.tenant_id = w.tenant_id AND e.project_id = w.project_id AND e.id = w.id;
     END IF;`,
  ],
];

function deferred(when: string): string {
  return `CONSTRAINT TRIGGER host_trigger AFTER UPDATE ON workflow_executions ${when} FOR EACH ROW`;
}

test.each(TRIGGERS)(
  'with a trigger that %s, timeouts have their own moment and can be taken back',
  async (_w, when, body) => {
    const { host, lapse } = world;
    await sql('ALTER TABLE workflow_executions ALTER updated_at DROP NOT NULL');
    await host.suspendMany(5, 31);
    await createTrigger(when, body);
    const before = new Date().toISOString();
    const sweepId = (await lapse.post('/v1/sweeps')).body.id;

    const { items } = (await lapse.get(`/v1/timeouts?from=${before}`)).body;
    expect(items).toHaveLength(5);
    for (const { timedOutAt, deadline, executionId } of items) {
      expect(Date.parse(timedOutAt)).toBeGreaterThan(Date.parse(deadline));
      expect((await host.find(executionId)).metadata.timedOutAt).toBe(timedOutAt);
    }
    const { body: reopened } = await lapse.post(`/v1/timeouts/${items[0].id}/reopen`, REASON);
    const { body: undo } = await lapse.post(`/v1/sweeps/${sweepId}/undo?wait=60`, REASON);

    expect(reopened.outcome).toBe('reopened');
    expect(undo).toMatchObject({ status: 'succeeded', undone: { reopened: 4, changedSince: 0, alreadyReopened: 1 } });
    expect(await host.count('suspended')).toBe(5);
    expect(await lapse.app.get(ResurrectionsService, { strict: false }).detect()).toBe(0);
  },
);

test.each(TRIGGERS.filter(([what]) => what.startsWith('updates')))(
  'with a trigger that %s, an execution that the host touches later stays as it is',
  async (_what, when, body) => {
    const { host, lapse } = world;
    await host.suspendMany(2, 31);
    await createTrigger(when, body);
    const sweepId = (await lapse.post('/v1/sweeps')).body.id;
    await sql('DROP FUNCTION host_trigger() CASCADE');
    await sql(`UPDATE workflow_executions SET updated_at = updated_at + interval '1 microsecond' WHERE id = '1'`);

    const { body: undo } = await lapse.post(`/v1/sweeps/${sweepId}/undo?wait=60`, REASON);

    expect(undo.undone).toMatchObject({ reopened: 1, changedSince: 1 });
    expect((await host.find('1')).status).toBe('failed');
  },
);

test('a large sweep is undone although a trigger updates each row once more, in both directions', async () => {
  const { host, lapse } = world;
  await host.suspendMany(3_000, 31);
  // Without statistics the trigger's own update would read the whole project for each row.
  await sql('ANALYZE workflow_executions');
  await createTrigger(AFTER, bump('clock_timestamp()'));
  const sweepId = (await lapse.post('/v1/sweeps?wait=60')).body.id;
  const { body } = await lapse.post(`/v1/sweeps/${sweepId}/undo?wait=60`, REASON);
  expect(body).toMatchObject({ status: 'succeeded', undone: { reopened: 3_000, changedSince: 0 } });
  expect(await host.count('suspended')).toBe(3_000);
});

test('a second timeout is told from the first although a trigger gives both the same updated_at', async () => {
  const { host, lapse } = world;
  await createTrigger(BEFORE, `NEW.updated_at := '2001-01-01';`);
  await host.suspend({ id: 'twice', minutes: 31 });
  await lapse.post('/v1/sweeps');
  await sql(`UPDATE workflow_executions SET status = 'suspended', metadata = '{}'`);
  await lapse.post('/v1/sweeps');
  expect(await lapse.app.get(ResurrectionsService, { strict: false }).detect()).toBe(1);
});

const KEEPING: [string, string, string][] = [
  ['before', BEFORE, `IF OLD.id = '2' THEN NEW.status := OLD.status; END IF;`],
  [
    'after',
    AFTER,
    `IF NEW.id = '2' AND pg_trigger_depth() = 1 THEN UPDATE workflow_executions SET status = OLD.status WHERE id = '2'; END IF;`,
  ],
];

test.each(KEEPING)(
  'an execution that a trigger keeps suspended %s the update is on record as a failure, not as a timeout',
  async (_when, when, body) => {
    const { host, lapse } = world;
    await host.suspendMany(3, 31);
    await createTrigger(when, body);

    const { body: sweep } = await lapse.post('/v1/sweeps?wait=60');

    expect(sweep.counts).toMatchObject({ timedOut: 2, failed: 1, total: 3 });
    expect((await host.ledger()).map(({ executionId }) => executionId)).toEqual(['1', '3']);
    expect((await host.find('2')).status).toBe('suspended');
    expect(await lapse.app.get(ResurrectionsService, { strict: false }).detect()).toBe(0);
  },
);

test.each(KEEPING)(
  'an execution that a trigger keeps failed %s the update is not reopened, and the answer says so',
  async (_when, when, body) => {
    const { host, lapse } = world;
    await host.suspendMany(3, 31);
    const sweepId = (await lapse.post('/v1/sweeps')).body.id;
    await createTrigger(when, body);

    const { body: undo } = await lapse.post(`/v1/sweeps/${sweepId}/undo?wait=60`, REASON);
    const [kept] = (await lapse.get('/v1/timeouts?executionId=2')).body.items;
    const reopened = await lapse.post(`/v1/timeouts/${kept.id}/reopen`, REASON);

    expect(undo).toMatchObject({ status: 'partial', undone: { reopened: 2 }, counts: { failed: 1 } });
    expect([reopened.status, reopened.body.code]).toEqual([409, 'reopen_refused']);
    expect(kept.reopenedAt).toBeNull();
    expect((await host.find('2')).status).toBe('failed');
  },
);

test('a timeout that an older version recorded is taken back by what it took for the moment', async () => {
  const { host, lapse } = world;
  await host.suspend({ id: 'old', minutes: 31 });
  await createTrigger(BEFORE, `NEW.updated_at := '2001-01-01';`);
  const sweepId = (await lapse.post('/v1/sweeps')).body.id;
  await sql(`UPDATE lapse.timeouts SET timed_out_at = '2001-01-01Z', row_updated_at = NULL, row_created_at = NULL`);
  const { body } = await lapse.post(`/v1/sweeps/${sweepId}/undo?wait=60`, REASON);
  expect(body.undone.reopened).toBe(1);
});

test('triggers of a single partition count too', async () => {
  const url = await createDatabase('nothing');
  const host = new Host(url);
  try {
    await host.pool.query(`
      CREATE TABLE workflow_executions (
        tenant_id text NOT NULL, project_id text NOT NULL, id text NOT NULL, agent_id text NOT NULL,
        conversation_id text NOT NULL, request_id text, status text NOT NULL, metadata jsonb,
        created_at timestamp NOT NULL, updated_at timestamp NOT NULL, PRIMARY KEY (tenant_id, project_id, id)
      ) PARTITION BY LIST (tenant_id);
      CREATE TABLE of_acme PARTITION OF workflow_executions FOR VALUES IN ('acme');
      CREATE TABLE of_globex PARTITION OF workflow_executions FOR VALUES IN ('globex')`);
    await createTrigger(
      'TRIGGER host_trigger AFTER UPDATE ON of_globex FOR EACH ROW',
      bump('clock_timestamp()'),
      host.pool,
    );
    const lapse = await Lapse.start(url);
    await host.suspend({ id: '1', minutes: 31 });
    await host.suspend({ id: '1', minutes: 31, tenantId: 'globex' });
    const sweepId = (await lapse.post('/v1/sweeps')).body.id;
    const { body } = await lapse.post(`/v1/sweeps/${sweepId}/undo?wait=60`, REASON);
    await lapse.stop();
    expect(body.undone).toMatchObject({ reopened: 2, changedSince: 0 });
  } finally {
    await host.stop();
    await dropDatabase(url);
  }
});
