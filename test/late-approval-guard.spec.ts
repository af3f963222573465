import { describe, expect, test } from '@jest/globals';
import { useGuardedTables, WHOLE } from './support/guarded-table.js';
import { ADA } from './support/people.js';

const tables = useGuardedTables();

const BY_STATUS = [
  `CREATE TABLE waiting PARTITION OF workflow_executions FOR VALUES IN ('suspended', 'running')`,
  `CREATE TABLE ended PARTITION OF workflow_executions FOR VALUES IN ('failed', 'completed')`,
];
const LIST = 'PRIMARY KEY (tenant_id, project_id, id, status)) PARTITION BY LIST (status)';

describe('on every layout of the table', () => {
  test.each<[string, string, string, string[]]>([
    ['whole, with timestamptz', WHOLE, 'timestamptz', []],
    ['BY LIST (status)', LIST, 'timestamp', BY_STATUS],
    [
      'BY LIST (status), with timestamptz and a default partition',
      LIST,
      'timestamptz',
      [
        `CREATE TABLE ended PARTITION OF workflow_executions FOR VALUES IN ('failed')`,
        'CREATE TABLE others PARTITION OF workflow_executions DEFAULT',
      ],
    ],
    [
      'BY LIST (status), partitioned again by time',
      LIST.replace('status))', 'status, created_at))'),
      'timestamp',
      [
        BY_STATUS[0] as string,
        `CREATE TABLE ended PARTITION OF workflow_executions FOR VALUES IN ('failed', 'completed') PARTITION BY RANGE (created_at)`,
        `CREATE TABLE ended_old PARTITION OF ended FOR VALUES FROM (MINVALUE) TO ('2020-01-01')`,
        `CREATE TABLE ended_new PARTITION OF ended FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)`,
      ],
    ],
    [
      'BY RANGE (created_at)',
      'PRIMARY KEY (tenant_id, project_id, id, created_at)) PARTITION BY RANGE (created_at)',
      'timestamp',
      [
        `CREATE TABLE old PARTITION OF workflow_executions FOR VALUES FROM (MINVALUE) TO ('2020-01-01')`,
        `CREATE TABLE new PARTITION OF workflow_executions FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)`,
      ],
    ],
    [
      'BY HASH (id)',
      `${WHOLE} PARTITION BY HASH (id)`,
      'timestamp',
      [0, 1].map(
        (remainder) =>
          `CREATE TABLE hashed_${remainder} PARTITION OF workflow_executions FOR VALUES WITH (MODULUS 2, REMAINDER ${remainder})`,
      ),
    ],
  ])(
    '%s: a late approval is refused, another update moves the row with its markers, reopening passes',
    async (_what, layout, type, statements) => {
      const { guard, timeOut, approve, sql, lapse } = await tables.make(layout, { type, statements });
      await guard.install(ADA);
      await timeOut('late', 'other');

      await expect(approve('late')).rejects.toMatchObject({ code: 'LP001' });
      await sql(`UPDATE workflow_executions SET created_at = '2019-12-31', metadata = '{"note": 1}' WHERE id = 'late'`);
      await expect(approve('late')).rejects.toMatchObject({ code: 'LP001' });

      const { rows } = await sql('SELECT id, status, metadata FROM workflow_executions ORDER BY id');
      expect(rows).toMatchObject([
        { id: 'late', status: 'failed', metadata: { note: 1, failureReason: 'approval_timeout' } },
        { id: 'other', status: 'failed' },
      ]);
      expect(await guard.examine()).toEqual({ state: 'installed', tried: true, reason: null, exemptRoles: [] });
      const { items } = (await lapse.get('/v1/timeouts?executionId=other')).body;
      expect((await lapse.post(`/v1/timeouts/${items[0].id}/reopen`, { reason: 'x' })).body.outcome).toBe('reopened');
      await approve('other');
    },
  );

  test('an upsert and an update through a view are refused like any other', async () => {
    const { guard, timeOut, sql } = await tables.make();
    await guard.install(ADA);
    await timeOut('late');
    const upsert = sql(`INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id)
      VALUES ('acme', 'support', 'late', 'agent', 'conversation')
      ON CONFLICT (tenant_id, project_id, id) DO UPDATE SET status = 'running'`);
    await expect(upsert).rejects.toMatchObject({ code: 'LP001' });
    await sql('CREATE VIEW executions AS SELECT * FROM workflow_executions');
    await expect(sql(`UPDATE executions SET status = 'running'`)).rejects.toMatchObject({ code: 'LP001' });
  });

  test('partitions that are created or attached later are guarded, and one where it is switched off is named', async () => {
    const { guard, timeOut, approve, sql } = await tables.make(LIST, { statements: BY_STATUS.slice(0, 1) });
    await guard.install(ADA);
    await sql('CREATE TABLE ended (LIKE workflow_executions INCLUDING ALL)');
    await sql(`ALTER TABLE workflow_executions ATTACH PARTITION ended FOR VALUES IN ('failed')`);
    await timeOut('late');
    await expect(approve('late')).rejects.toMatchObject({ code: 'LP001' });

    await sql('ALTER TABLE ended DISABLE TRIGGER zz_lapse_guard');
    expect(await guard.examine()).toMatchObject({
      state: 'disabled',
      reason: expect.stringMatching(/switched off on host_\d+\.ended$/),
    });
    await guard.install(ADA);
    expect(await guard.examine()).toMatchObject({ state: 'installed', tried: true });
    await sql('ALTER TABLE ended ENABLE REPLICA TRIGGER zz_lapse_guard');
    expect(await guard.status()).toBe('disabled');
    await sql('ALTER TABLE ended ENABLE ALWAYS TRIGGER zz_lapse_guard');
    expect(await guard.status()).toBe('installed');
  });
});

describe('where it can not hold', () => {
  const LATER = `CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.status := 'running'; RETURN NEW; END $$;
                 CREATE TRIGGER zzz_later BEFORE UPDATE ON workflow_executions FOR EACH ROW EXECUTE FUNCTION later()`;
  test.each<[string, string, RegExp, string]>([
    [
      'a table inherits from it',
      WHOLE,
      /host_\d+\.child inherits/,
      'CREATE TABLE child () INHERITS (workflow_executions)',
    ],
    [
      'a rule rewrites updates',
      WHOLE,
      /rule "elsewhere"/,
      'CREATE RULE elsewhere AS ON UPDATE TO workflow_executions DO ALSO SELECT 1',
    ],
    ['a trigger fires after it', WHOLE, /trigger "zzz_later" .* rename/, LATER],
    [
      'a partition is a foreign table',
      'CHECK (true)) PARTITION BY LIST (status)',
      /host_\d+\.remote is a foreign table/,
      `
      CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER away FOREIGN DATA WRAPPER nothing;
      CREATE FOREIGN TABLE remote PARTITION OF workflow_executions FOR VALUES IN ('failed') SERVER away`,
    ],
  ])(
    'because %s: it is not installed, and one that was there before is reported',
    async (_what, layout, reason, statement) => {
      const { guard, sql } = await tables.make(layout);
      tables.cleanUp(() => sql('DROP FOREIGN DATA WRAPPER IF EXISTS nothing CASCADE'));
      await guard.install(ADA);
      await sql(statement);
      expect(await guard.examine()).toMatchObject({ state: 'ineffective', reason: expect.stringMatching(reason) });
      await guard.remove(ADA);

      await expect(guard.install(ADA)).rejects.toMatchObject({
        name: 'GuardIneffectiveError',
        message: expect.stringMatching(reason),
      });
      expect(await guard.status()).toBe('missing');
    },
  );

  test('because triggers do not fire for a database or a role, it says so', async () => {
    const { guard, timeOut, sql, again } = await tables.make();
    const role = `mirror_${process.pid}`;
    const alter = (what: string) =>
      sql(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I ${what}', current_database()); END $$`);
    await sql(`CREATE ROLE ${role}; ALTER ROLE ${role} SET session_replication_role = replica`);
    tables.cleanUp(() => sql(`DROP ROLE ${role}`));
    await timeOut('late');
    await guard.install(ADA);
    expect(await guard.examine()).toMatchObject({ state: 'installed', exemptRoles: [role] });

    await alter('SET session_replication_role = replica');
    tables.cleanUp(() => alter('RESET session_replication_role'));
    const report = await (await again()).examine();
    expect(report).toMatchObject({ state: 'ineffective', tried: true, reason: expect.stringMatching(/passed, since/) });
    expect(report.exemptRoles).toContain('every role');
  });
});

describe('trying it', () => {
  test('leaves no trace, on a timed-out row or on any other', async () => {
    const { guard, timeOut, sql } = await tables.make();
    const rows = async () => (await sql('SELECT ctid, * FROM workflow_executions ORDER BY id')).rows;
    await guard.install(ADA);
    expect(await guard.examine()).toMatchObject({ tried: false, reason: expect.stringMatching(/^the table is empty/) });
    await sql(
      `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id) VALUES ('a', 'b', 'c', 'd', 'e')`,
    );
    const first = await rows();
    expect(await guard.examine()).toMatchObject({ state: 'installed', tried: true });
    expect(await rows()).toEqual(first);
    await timeOut('late');
    const then = await rows();
    expect(await guard.examine()).toMatchObject({ state: 'installed', tried: true });
    expect(await rows()).toEqual(then);
  });

  test('waits for nobody: a locked table or locked rows are reported as the reason why it was not tried', async () => {
    const { guard, timeOut, sql } = await tables.make();
    await guard.install(ADA);
    await timeOut('late');
    await sql('BEGIN; SELECT FROM workflow_executions FOR UPDATE');
    expect(await guard.examine()).toMatchObject({
      state: 'installed',
      tried: false,
      reason: expect.stringMatching(/hold all/),
    });
    await sql('LOCK TABLE workflow_executions');
    expect(await guard.examine()).toMatchObject({ tried: false, reason: 'the table is locked by another session' });
    await sql('COMMIT');
    expect(await guard.examine()).toMatchObject({ tried: true, reason: null });
  });

  test('a trigger of the host that refuses or suppresses the attempt is the reason why nothing is proven', async () => {
    const { guard, sql } = await tables.make();
    await sql(
      `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id) VALUES ('a', 'b', 'c', 'd', 'e')`,
    );
    await sql(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'closed on Sundays'; END $$;
               CREATE TRIGGER refuse BEFORE UPDATE ON workflow_executions FOR EACH ROW EXECUTE FUNCTION refuse()`);
    await guard.install(ADA);
    expect(await guard.examine()).toMatchObject({ tried: false, reason: 'the attempt failed: closed on Sundays' });
    await sql(`CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`);
    expect(await guard.examine()).toMatchObject({ state: 'installed', tried: false });
  });
});

describe('the host alters its table, in the session that updated it before', () => {
  async function usedBefore() {
    const table = await tables.make();
    // A new schema would have the session forget its plans, so it is made before.
    await table.sql(`CREATE TYPE state AS ENUM ('running', 'suspended', 'failed'); CREATE SCHEMA elsewhere`);
    tables.cleanUp(() => table.sql('DROP SCHEMA elsewhere CASCADE'));
    await table.guard.install(ADA);
    await table.timeOut('late');
    const runs = `('acme', 'support', 'runs', 'agent', 'conversation', 'running', '{}')`;
    await table.sql(
      `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, metadata) VALUES ${runs}`,
    );
    await table.sql(`UPDATE workflow_executions SET request_id = 'x', metadata = '{"note": 1}'`);
    await expect(table.approve('late')).rejects.toMatchObject({ code: 'LP001' });
    return table;
  }

  test.each([
    'ALTER status TYPE text',
    'ALTER status TYPE varchar(100)',
    `ALTER status DROP DEFAULT, ALTER status TYPE state USING status::state`,
    'ALTER id TYPE text, ALTER tenant_id TYPE text',
    'ALTER metadata TYPE json USING metadata::json',
    'ADD note text, DROP request_id',
    'RENAME TO executions',
    'SET SCHEMA elsewhere',
  ])('%s works, and the guard holds', async (change) => {
    const { sql } = await usedBefore();
    await sql(`ALTER TABLE workflow_executions ${change}`);
    const names = { 'RENAME TO executions': 'executions', 'SET SCHEMA elsewhere': 'elsewhere.workflow_executions' };
    const name = names[change as keyof typeof names] ?? 'workflow_executions';
    const update = (values: string, id: string) => sql(`UPDATE ${name} SET ${values} WHERE id = '${id}'`);

    await expect(update(`status = 'running', metadata = '{}'`, 'late')).rejects.toMatchObject({ code: 'LP001' });
    await update(`metadata = '{"note": 2}'`, 'late');
    await update(`status = 'suspended', metadata = '{"note": 2}'`, 'runs');
    const { rows } = await sql(`SELECT status, metadata FROM ${name} ORDER BY id`);
    expect(rows).toMatchObject([
      { status: 'failed', metadata: { note: 2, failureReason: 'approval_timeout' } },
      { status: 'suspended', metadata: { note: 2 } },
    ]);
  });

  test.each(['DROP metadata', 'RENAME metadata TO extra', 'RENAME status TO state', 'DROP status'])(
    '%s takes away what a timeout is told by; its updates still work',
    async (change) => {
      const { sql } = await usedBefore();
      await sql(`ALTER TABLE workflow_executions ${change}`);
      expect((await sql(`UPDATE workflow_executions SET updated_at = now()`)).rowCount).toBe(2);
    },
  );

  test('a setting that a session, a role or the database was left with opens nothing', async () => {
    const { sql, approve } = await usedBefore();
    await sql(`SET lapse.reopening = 'on'; SET lapse.reopening_transaction = 'on'`);
    await expect(approve('late')).rejects.toMatchObject({ code: 'LP001' });
    await sql(`SELECT set_config('lapse.reopening_transaction', pg_current_xact_id()::text, false)`);
    await expect(approve('late')).rejects.toMatchObject({ code: 'LP001' });
  });
});
