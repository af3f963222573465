import { expect, test } from '@jest/globals';
import { DataSource } from 'typeorm';
import { readConfiguration } from '../src/config/configuration.js';
import { dataSourceOptions } from '../src/database/data-source-options.js';
import { inspectWatchedTable } from '../src/executions/watched-table.js';
import { WatchedTableIndexes } from '../src/executions/watched-table-indexes.js';
import { useGuardedTables, WHOLE } from './support/guarded-table.js';

const tables = useGuardedTables();

const PLATFORM = 'sweeps of the whole platform';
const TENANT = 'sweeps of one tenant';
const SUSPENDED = `WHERE status = 'suspended'`;
const platformIndex = (on = 'workflow_executions', name = 'a') =>
  `CREATE INDEX ${name} ON ${on} (updated_at, tenant_id, project_id, id) ${SUSPENDED}`;
const tenantIndex = (on = 'workflow_executions', name = 'b') =>
  `CREATE INDEX ${name} ON ${on} (tenant_id, updated_at, project_id, id) ${SUSPENDED}`;

async function make(layout = WHOLE, statements: string[] = []) {
  const table = await tables.make(layout, { statements });
  const indexes = table.lapse.app.get(WatchedTableIndexes, { strict: false });
  return {
    ...table,
    /** What has no index, by what PostgreSQL would do. */
    missing: async () => (await indexes.missing()).map(({ purpose }) => purpose),
    /** Creates what is missing as its owner would. */
    async create() {
      const commands = (await indexes.missing()).flatMap((index) => index.commands);
      for (const command of commands) {
        await table.sql(command);
      }
      return commands;
    },
  };
}

test.each<[string, string]>([
  ['another order of columns', `(updated_at, project_id, tenant_id, id) ${SUSPENDED}`],
  ['too few columns', `(updated_at, tenant_id) ${SUSPENDED}`],
  ['mixed directions', `(updated_at, tenant_id DESC, project_id, id) ${SUSPENDED}`],
  ['another collation', `(updated_at, tenant_id COLLATE "POSIX", project_id, id) ${SUSPENDED}`],
  [
    'an operator class that knows no order of the database',
    `(updated_at, tenant_id text_pattern_ops, project_id, id) ${SUSPENDED}`,
  ],
  ['a narrower condition', `(updated_at, tenant_id, project_id, id) ${SUSPENDED} AND tenant_id <> 'acme'`],
  ['a condition on another status', `(updated_at, tenant_id, project_id, id) WHERE status = 'suspended2'`],
  ['no condition', '(updated_at, tenant_id, project_id, id)'],
  ['expressions', `((updated_at + interval '0'), (lower(tenant_id)), project_id, id) ${SUSPENDED}`],
])('an index with %s does not serve', async (_what, definition) => {
  const { sql, missing, create } = await make();
  await sql(`ALTER DATABASE ${new URL(tables.databaseUrl).pathname.slice(1)} SET enable_indexscan = off`);
  tables.cleanUp(() => sql(`ALTER DATABASE ${new URL(tables.databaseUrl).pathname.slice(1)} RESET enable_indexscan`));
  await sql(`${tenantIndex()}; CREATE INDEX workflow_executions_suspended ON workflow_executions ${definition}`);
  expect(await missing()).toEqual([PLATFORM]);

  expect(await create()).toEqual([
    expect.stringMatching(/^CREATE INDEX CONCURRENTLY workflow_executions_suspended_2 /),
  ]);
  expect(await missing()).toEqual([]);
});

test.each<[string, string]>([
  ['the recommended one', `(updated_at, tenant_id, project_id, id) ${SUSPENDED}`],
  ['one that begins with the status', '(status, updated_at, tenant_id, project_id, id)'],
  ['one that is read backwards', `(updated_at DESC, tenant_id DESC, project_id DESC, id DESC) ${SUSPENDED}`],
  ['one with more columns', `(updated_at, tenant_id, project_id, id, agent_id) INCLUDE (conversation_id) ${SUSPENDED}`],
  ['one with a wider condition', `(updated_at, tenant_id, project_id, id) WHERE status IN ('suspended')`],
])('%s serves', async (_what, definition) => {
  const { sql, missing } = await make();
  await sql(`${tenantIndex()}; CREATE INDEX ON workflow_executions ${definition}`);
  expect(await missing()).toEqual([]);
});

test('an index that has grown serves, although sorting the few rows of another one would be cheaper', async () => {
  const { sql, missing } = await make();
  await sql(`INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status)
             SELECT 'acme', 'support', n::text, 'a', 'c', 'suspended' FROM generate_series(1, 20000) n`);
  await sql(platformIndex());
  await sql(`UPDATE workflow_executions SET status = 'completed'`);
  await sql(tenantIndex());
  await sql('ANALYZE workflow_executions');
  expect(await missing()).toEqual([]);
});

test('an index that could not be finished does not serve, and is dropped first', async () => {
  const { sql, missing, create, schema } = await make();
  await sql(tenantIndex());
  await sql(platformIndex('workflow_executions', 'workflow_executions_suspended'));
  await sql(
    `UPDATE pg_index SET indisvalid = false WHERE indexrelid = '${schema}.workflow_executions_suspended'::regclass`,
  );
  expect(await missing()).toEqual([PLATFORM]);

  expect(await create()).toEqual([
    `DROP INDEX CONCURRENTLY ${schema}.workflow_executions_suspended`,
    expect.stringMatching(/^CREATE INDEX CONCURRENTLY workflow_executions_suspended ON /),
  ]);
  expect(await missing()).toEqual([]);
});

test('an index that only the partitioned parent has does not serve; each partition is asked, also one of a partition', async () => {
  const name = 'a_partition_with_a_name_that_leaves_no_room_for_the_name_of_one';
  const { sql, missing, create } = await make(
    'PRIMARY KEY (tenant_id, project_id, id)) PARTITION BY HASH (tenant_id)',
    [
      'CREATE TABLE p0 PARTITION OF workflow_executions FOR VALUES WITH (MODULUS 3, REMAINDER 0)',
      `CREATE TABLE ${name} PARTITION OF workflow_executions FOR VALUES WITH (MODULUS 3, REMAINDER 1)`,
      'CREATE TABLE p2 PARTITION OF workflow_executions FOR VALUES WITH (MODULUS 3, REMAINDER 2) PARTITION BY LIST (project_id)',
      'CREATE TABLE "P 2" PARTITION OF p2 DEFAULT',
    ],
  );
  await sql(platformIndex('ONLY workflow_executions'));
  await sql(tenantIndex('ONLY workflow_executions'));
  await sql(platformIndex('p0', 'workflow_executions_suspended_of_p0'));
  expect(await missing()).toEqual([PLATFORM, TENANT]);

  const commands = await create();
  expect(commands.filter((command) => / ON host_\d+\.p0 /.test(command))).toHaveLength(1);
  expect(commands).toHaveLength(5);
  expect(await missing()).toEqual([]);
  await sql('DROP INDEX p0_suspended_by_tenant');
  expect(await missing()).toEqual([TENANT]);
});

test('partitions that can not hold a suspended execution need no index, and a table that inherits does', async () => {
  const byStatus = await make('CHECK (true)) PARTITION BY LIST (status)', [
    `CREATE TABLE open PARTITION OF workflow_executions FOR VALUES IN ('running', 'suspended')`,
    `CREATE TABLE ended PARTITION OF workflow_executions FOR VALUES IN ('failed', 'completed')`,
  ]);
  await byStatus.sql(platformIndex('open'));
  await byStatus.sql(tenantIndex('open'));
  expect(await byStatus.missing()).toEqual([]);

  const inherited = await make(WHOLE, ['CREATE TABLE child () INHERITS (workflow_executions)']);
  await inherited.sql(platformIndex());
  await inherited.sql(tenantIndex());
  expect(await inherited.missing()).toEqual([PLATFORM, TENANT]);
  expect(await inherited.create()).toHaveLength(2);
  expect(await inherited.missing()).toEqual([]);
});

test('a policy for row-level security is no missing index', async () => {
  const { sql, schema } = await make();
  const role = `indexes_${process.pid}`;
  await sql(`CREATE ROLE ${role} LOGIN PASSWORD '${role}'`);
  tables.cleanUp(() => sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`));
  await sql(`GRANT USAGE ON SCHEMA ${schema} TO ${role}; GRANT SELECT ON workflow_executions TO ${role};
             ALTER TABLE workflow_executions ENABLE ROW LEVEL SECURITY;
             CREATE POLICY agents ON workflow_executions TO ${role} USING (agent_id <> 'secret' AND tenant_id <> 'hidden')`);
  const { href } = Object.assign(new URL(tables.databaseUrl), { username: role, password: role });
  const dataSource = await new DataSource(dataSourceOptions(readConfiguration({ DATABASE_URL: href }))).initialize();
  tables.cleanUp(() => dataSource.destroy());
  const indexes = new WatchedTableIndexes(dataSource, await inspectWatchedTable(dataSource, schema));

  expect(await indexes.missing()).toHaveLength(2);
  await sql(`${platformIndex()}; ${tenantIndex()}`);
  expect(await indexes.missing()).toEqual([]);
  await sql(`REVOKE SELECT ON workflow_executions FROM ${role}`);
  expect(await indexes.missingIfKnown()).toBe('not permitted');
});
