import { type DataSource, MigrationExecutor } from 'typeorm';
import { messageOf, SchemaPermissionError } from '../../database/database.errors.js';
import { queryOnce, queryRow, RECORD_LIMITS } from '../../database/short-transaction.js';
import type { Check } from './check.js';
import { fail, ok, warn } from './finding.js';

/** What the service would do at its start has been tried, and rolled back. */
export const migrationsCheck: Check = {
  name: 'migrations',
  needs: 'database',
  async look({ configuration, dataSource, migration: { outcome, error } }) {
    const { schema } = configuration;
    if (error !== undefined) {
      return fail(
        `schema "${schema}" can't be migrated, so the service can't start: ${messageOf(error)}`,
        error instanceof SchemaPermissionError
          ? await remedyFor(schema, dataSource)
          : 'see the message: it is what the service logs',
      );
    }
    const executed = await executedMigrations(dataSource);
    const known = dataSource.migrations.map((migration) => migration.name ?? migration.constructor.name);
    const pending = known.filter((name) => !executed.includes(name));
    const unknown = executed.filter((name) => !known.includes(name));
    if (unknown.length > 0) {
      return warn(
        `schema "${schema}" is of a newer Lapse (${unknown.join(', ')})`,
        'use the version that migrated it, or a newer one',
      );
    }
    if (pending.length === 0) {
      // The service reads its secrets at its start; if the role may not, that is thrown, and is what was found.
      await queryOnce(dataSource, RECORD_LIMITS, `SELECT FROM "${schema}".secrets LIMIT 0`);
      return ok(`schema "${schema}" is up to date (${known.length} migrations)`);
    }
    const tried = outcome ? 'tried, and rolled back' : 'not tried: another process is migrating, or they take longer';
    return warn(
      `schema "${schema}": ${pending.length} of ${known.length} migrations pending (${pending.join(', ')}); ${tried}`,
      'run "lapse migrate", or start the service, which does it too',
    );
  },
};

async function executedMigrations(dataSource: DataSource): Promise<string[]> {
  return (await new MigrationExecutor(dataSource).getExecutedMigrations()).map(({ name }) => name);
}

async function remedyFor(schema: string, dataSource: DataSource): Promise<string> {
  const { role } = await queryRow<{ role: string }>(dataSource, RECORD_LIMITS, 'SELECT current_user AS role', []);
  // Not CREATE SCHEMA … AUTHORIZATION, which only members of the role may run.
  return (
    `let the owner of the database run: CREATE SCHEMA IF NOT EXISTS "${schema}"; ` +
    `GRANT USAGE, CREATE ON SCHEMA "${schema}" TO "${role}"; the tables in it, if any, must belong to "${role}"`
  );
}
