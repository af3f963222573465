import { setTimeout as delay } from 'node:timers/promises';
import { type DataSource, MigrationExecutor, type QueryRunner } from 'typeorm';
import type { Configuration } from '../config/configuration.js';
import { advisoryLockKey } from '../locks/advisory-lock-key.js';
import { createWatchedTables } from './create-watched-tables.js';
import { MigrationsBusyError, SchemaPermissionError } from './database.errors.js';
import { sqlStateOf } from './sql-state.js';

const POLL_MS = 200;
const PATIENCE_MS = 5 * 60_000;
const INSUFFICIENT_PRIVILEGE = '42501';

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
    if (outcome) {
      return outcome;
    }
    // Polled, because a session that waits inside pg_advisory_xact_lock() holds back vacuum meanwhile.
    if (Date.now() - started > PATIENCE_MS) {
      throw new MigrationsBusyError(configuration.schema, Date.now() - started);
    }
    await delay(POLL_MS);
  }
}

/** Undefined where another process is at it. */
async function tryToMigrate(
  dataSource: DataSource,
  configuration: Configuration,
): Promise<MigrationOutcome | undefined> {
  const { schema, watchedSchema } = configuration;
  const queryRunner = dataSource.createQueryRunner();
  try {
    await queryRunner.startTransaction('READ COMMITTED');
    let outcome: MigrationOutcome | undefined;
    if (await tryLock(queryRunner, schema)) {
      await createSchemaWhereMissing(queryRunner, schema);
      const executed = await new MigrationExecutor(dataSource, queryRunner).executePendingMigrations();
      const createdTables = configuration.createWatchedTables
        ? await createWatchedTables(queryRunner, watchedSchema)
        : [];
      outcome = { migrations: executed.map(({ name }) => name), createdTables };
    }
    await queryRunner.commitTransaction();
    return outcome;
  } catch (error) {
    await queryRunner.rollbackTransaction().catch(() => undefined);
    throw sqlStateOf(error) === INSUFFICIENT_PRIVILEGE ? new SchemaPermissionError(schema, error) : error;
  } finally {
    await queryRunner.release();
  }
}

async function tryLock(queryRunner: QueryRunner, schema: string): Promise<boolean> {
  const [{ database }] = await queryRunner.query('SELECT current_database() AS database');
  const key = advisoryLockKey({ application: 'lapse', database, schema, name: 'migrate' });
  const [{ locked }] = await queryRunner.query('SELECT pg_try_advisory_xact_lock($1::bigint) AS locked', [key]);
  return locked;
}

/** Asks first: CREATE SCHEMA IF NOT EXISTS wants the right to create even where nothing is to be created. */
async function createSchemaWhereMissing(queryRunner: QueryRunner, schema: string): Promise<void> {
  const existing = await queryRunner.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
  if (existing.length === 0) {
    await queryRunner.query(`CREATE SCHEMA "${schema}"`);
  }
}
