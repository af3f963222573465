import { messageOf, WatchedTableNotCreatedError } from '../../database/database.errors.js';
import { WatchedTableMissingError, WatchedTableUnsuitableError } from '../../executions/watched-table.errors.js';
import type { WatchedTable } from '../../executions/watched-table.js';
import type { Database } from './check.js';
import { fail, type Outcome, ok, warn } from './finding.js';

/** Where `LAPSE_CREATE_WATCHED_TABLES` is on, as it is without `DATABASE_URL`. */
export const WILL_BE_CREATED = 'run "lapse migrate", or start the service: it is created there';

export function describeWatchedTable(watched: WatchedTable): Outcome {
  const { name, updatedAtType, createdAtType, partitioned, concerns } = watched;
  const types = `updated_at ${updatedAtType}, created_at ${createdAtType}`;
  const withoutZone = [updatedAtType, createdAtType].includes('timestamp');
  const seen = `${name}: ${types}${withoutZone ? ' (rows without a zone are read as UTC)' : ''}, ${partitioned ? '' : 'not '}partitioned`;
  return concerns.length === 0
    ? ok(seen)
    : warn(
        `${seen}. ${concerns.join('. ')}`,
        'let the owner of the table add the constraint, or keep in mind what follows',
      );
}

/** @throws the error itself if it is not about the watched table. */
export function explainWatchedTable(error: unknown, { configuration, migration }: Database): Outcome {
  if (error instanceof WatchedTableMissingError) {
    if (migration.error instanceof WatchedTableNotCreatedError) {
      return fail(
        `there is no table "${error.schema}".workflow_executions, and it can't be created: ${messageOf(migration.error.cause)}`,
        'set LAPSE_WATCHED_SCHEMA to a schema in which the role may create tables',
      );
    }
    if (configuration.createWatchedTables) {
      return warn(`there is no table "${error.schema}".workflow_executions yet`, WILL_BE_CREATED);
    }
    return fail(
      `there is no table "${error.schema}".workflow_executions`,
      'set LAPSE_WATCHED_SCHEMA to the schema that holds it and check that DATABASE_URL leads to its database, or set ' +
        'LAPSE_CREATE_WATCHED_TABLES=true to have it created',
    );
  }
  if (error instanceof WatchedTableUnsuitableError) {
    return fail(
      `"${error.schema}".workflow_executions: ${error.faults.join('; ')}`,
      'let LAPSE_WATCHED_SCHEMA lead to a table with the columns that Lapse works on, or migrate this one',
    );
  }
  throw error;
}
