import { type DataSource, MigrationExecutor } from 'typeorm';
import { queryRow, RECORD_LIMITS } from '../../database/short-transaction.js';
import type { Check } from './check.js';
import { ok, warn } from './finding.js';

export const migrationsCheck: Check = {
  name: 'migrations',
  needs: 'database',
  async look({ configuration, dataSource }) {
    const { schema } = configuration;
    const executed = await new MigrationExecutor(dataSource).getExecutedMigrations();
    const known = dataSource.migrations.map((migration) => migration.name ?? migration.constructor.name);
    const pending = known.filter((name) => !executed.some((migration) => migration.name === name));
    const unknown = executed.filter(({ name }) => !known.includes(name));
    if (unknown.length > 0) {
      const names = unknown.map(({ name }) => name).join(', ');
      return warn(
        `schema "${schema}" is of a newer Lapse (${names})`,
        'use the version that migrated it, or a newer one',
      );
    }
    if (pending.length === 0) {
      return ok(`schema "${schema}" is up to date (${known.length} migrations)`);
    }
    const seen = `schema "${schema}": ${pending.length} of ${known.length} migrations pending (${pending.join(', ')})`;
    return warn(seen, await remedyFor(schema, dataSource));
  },
};

async function remedyFor(schema: string, dataSource: DataSource): Promise<string> {
  const { mayCreate, role } = await queryRow<{ mayCreate: boolean; role: string }>(
    dataSource,
    RECORD_LIMITS,
    `SELECT current_user AS role, coalesce(
       (SELECT has_schema_privilege(oid, 'CREATE, USAGE') FROM pg_namespace WHERE nspname = $1),
       has_database_privilege(current_database(), 'CREATE')) AS "mayCreate"`,
    [schema],
  );
  const migrate = 'run "lapse migrate", or start the service, which does it too';
  // Not CREATE SCHEMA … AUTHORIZATION, which only members of the role may run.
  const grant = `CREATE SCHEMA IF NOT EXISTS "${schema}"; GRANT USAGE, CREATE ON SCHEMA "${schema}" TO "${role}";`;
  return mayCreate ? migrate : `let the owner of the database run: ${grant} then ${migrate}`;
}
