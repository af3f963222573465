import { setTimeout as delay } from 'node:timers/promises';
import { type DataSource, MigrationExecutor, type QueryRunner } from 'typeorm';
import type { Configuration } from '../config/configuration.js';
import { advisoryLockKey } from '../locks/advisory-lock-key.js';
import { createWatchedTables } from './create-watched-tables.js';
import {
  DatabaseReadOnlyError,
  MigrationsBusyError,
  SchemaPermissionError,
  WatchedTableNotCreatedError,
} from './database.errors.js';
import { setQueryTimeout } from './short-transaction.js';
import {
  INSUFFICIENT_PRIVILEGE,
  INVALID_SCHEMA_NAME,
  LOCK_NOT_AVAILABLE,
  QUERY_CANCELED,
  READ_ONLY,
  sqlStateOf,
} from './sql-state.js';

const POLL_MS = 200;
const MIGRATIONS_TIMEOUT_MS = 5 * 60_000;
/** Long, because creating an index on a large ledger takes its time. */
const STATEMENT_TIMEOUT_MS = 30 * 60_000;
/** Short, because statements of a running service may wait behind it. */
const REHEARSAL_STATEMENT_TIMEOUT_MS = 2_000;
const NETWORK_TIMEOUT_MS = 10_000;

/** What was missing. */
export interface MigrationOutcome {
  /** Names of the migrations that ran, in their order. */
  migrations: string[];
  /** The watched tables that were created, qualified. */
  createdTables: string[];
}

/**
 * Runs the migrations that are still due, and creates the watched tables where that is asked for, all in one
 * transaction, one replica at a time.
 *
 * The lock belongs to the same transaction as the migrations: a crash frees it together with whatever was half done.
 */
export async function migrate(dataSource: DataSource, configuration: Configuration): Promise<MigrationOutcome> {
  const started = Date.now();
  for (;;) {
    const outcome = await tryToMigrate(dataSource, configuration);
    if (!(outcome instanceof TableInUse)) {
      return outcome;
    }
    // Polled, because a session that waits inside pg_advisory_xact_lock() holds back vacuum.
    if (Date.now() - started > MIGRATIONS_TIMEOUT_MS) {
      throw new MigrationsBusyError(configuration.schema, Date.now() - started);
    }
    await delay(POLL_MS);
  }
}

/**
 * Does the same as `migrate`, once, and takes it back: whether the service could start on this database. Locks that the
 * migrations take are released within a few seconds.
 *
 * @returns undefined if another process is migrating, or if a migration takes longer than that.
 * @throws what `migrate` throws.
 */
export async function rehearseMigration(
  dataSource: DataSource,
  configuration: Configuration,
): Promise<MigrationOutcome | undefined> {
  try {
    const outcome = await tryToMigrate(dataSource, configuration, 'rehearsal');
    return outcome instanceof TableInUse ? undefined : outcome;
  } catch (error) {
    if (sqlStateOf(error) === QUERY_CANCELED) {
      return undefined;
    }
    throw error;
  }
}

/** Another process is migrating, or a transaction uses a table that a migration has to lock. */
class TableInUse {}

/**
 * A migration gives up quickly if it has to wait for a table: every statement of an older replica, or of the host, would
 * wait behind it.
 */
const limits = (statementTimeoutMs: number) => `
  SET LOCAL lock_timeout = '500ms';
  SET LOCAL statement_timeout = ${statementTimeoutMs};
  SET LOCAL idle_in_transaction_session_timeout = '60s'`;

async function tryToMigrate(
  dataSource: DataSource,
  configuration: Configuration,
  purpose: 'for good' | 'rehearsal' = 'for good',
): Promise<MigrationOutcome | TableInUse> {
  const { schema, watchedSchema } = configuration;
  const statementTimeoutMs = purpose === 'rehearsal' ? REHEARSAL_STATEMENT_TIMEOUT_MS : STATEMENT_TIMEOUT_MS;
  const queryRunner = dataSource.createQueryRunner();
  try {
    setQueryTimeout(await queryRunner.connect(), statementTimeoutMs + NETWORK_TIMEOUT_MS);
    await queryRunner.startTransaction('READ COMMITTED');
    await queryRunner.query(limits(statementTimeoutMs));
    let outcome: MigrationOutcome | TableInUse = new TableInUse();
    if (await tryLock(queryRunner, schema)) {
      await createSchemaIfMissing(queryRunner, schema);
      const executed = await new MigrationExecutor(dataSource, queryRunner).executePendingMigrations();
      const createdTables = configuration.createWatchedTables
        ? await createWatchedTables(queryRunner, watchedSchema).catch(explainWatchedTables(watchedSchema))
        : [];
      outcome = { migrations: executed.map(({ name }) => name), createdTables };
    }
    await (purpose === 'rehearsal' ? queryRunner.rollbackTransaction() : queryRunner.commitTransaction());
    return outcome;
  } catch (error) {
    await queryRunner.rollbackTransaction().catch(() => undefined);
    if (error instanceof WatchedTableNotCreatedError) {
      throw error;
    }
    switch (sqlStateOf(error)) {
      case LOCK_NOT_AVAILABLE:
        return new TableInUse();
      case INSUFFICIENT_PRIVILEGE:
        throw new SchemaPermissionError(schema, error);
      case READ_ONLY:
        throw new DatabaseReadOnlyError(error);
      default:
        throw error;
    }
  } finally {
    await queryRunner.release();
  }
}

/** What is missing here belongs to the host's schema, not to Lapse's own. */
function explainWatchedTables(schema: string): (error: unknown) => never {
  return (error) => {
    const state = sqlStateOf(error);
    throw state === INSUFFICIENT_PRIVILEGE || state === INVALID_SCHEMA_NAME
      ? new WatchedTableNotCreatedError(schema, error)
      : error;
  };
}

async function tryLock(queryRunner: QueryRunner, schema: string): Promise<boolean> {
  const [{ database }] = await queryRunner.query('SELECT current_database() AS database');
  const key = advisoryLockKey({ application: 'lapse', database, schema, name: 'migrate' });
  const [{ locked }] = await queryRunner.query('SELECT pg_try_advisory_xact_lock($1::bigint) AS locked', [key]);
  return locked;
}

/** Asks first: CREATE SCHEMA IF NOT EXISTS needs the right to create even if nothing is to be created. */
async function createSchemaIfMissing(queryRunner: QueryRunner, schema: string): Promise<void> {
  const existing = await queryRunner.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
  if (existing.length === 0) {
    await queryRunner.query(`CREATE SCHEMA "${schema}"`);
  }
}
