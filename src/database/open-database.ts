import { setTimeout as delay } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { Configuration } from '../config/configuration.js';
import { dataSourceOptions } from './data-source-options.js';
import {
  DatabasePasswordMissingError,
  DatabaseRefusedError,
  DatabaseTlsError,
  DatabaseUnreachableError,
  DatabaseUrlUnusableError,
  messageOf,
} from './database.errors.js';
import { migrate } from './migrate.js';
import { isServerTrouble, sqlStateOf } from './sql-state.js';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 15_000;

/**
 * Connects, waiting for as long as the server or the one that keeps the locks is away, and brings Lapse's own tables up to date.
 *
 * @param patienceMs how long to wait; for ever unless given.
 * @throws DatabaseRefusedError, DatabaseUrlUnusableError if waiting can't help (wrong password, unknown certificate).
 * @throws DatabaseUnreachableError where it has waited for so long.
 * @throws SchemaPermissionError, MigrationsBusyError as `migrate` does.
 */
export async function openDatabase(
  configuration: Configuration,
  patienceMs = Number.POSITIVE_INFINITY,
): Promise<DataSource> {
  const dataSource = await connectPatiently(configuration, 'DATABASE_URL', patienceMs);
  try {
    if (configuration.lockDatabaseUrl !== configuration.databaseUrl) {
      await (await connectPatiently(configuration, 'LAPSE_LOCK_DATABASE_URL', patienceMs)).destroy();
    }
    await migrate(dataSource, configuration);
    return dataSource;
  } catch (error) {
    await dataSource.destroy();
    throw error;
  }
}

/**
 * Connects, and touches nothing.
 *
 * @throws DatabaseRefusedError, DatabaseUrlUnusableError, DatabaseUnreachableError
 */
export async function connectPatiently(
  configuration: Configuration,
  variable: 'DATABASE_URL' | 'LAPSE_LOCK_DATABASE_URL',
  patienceMs: number,
): Promise<DataSource> {
  const deadline = Date.now() + patienceMs;
  const url = variable === 'DATABASE_URL' ? configuration.databaseUrl : configuration.lockDatabaseUrl;
  const logger = new Logger('Database');
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await new DataSource(dataSourceOptions(configuration, url)).initialize();
    } catch (error) {
      const { cause } = error instanceof DatabaseUnreachableError ? error : { cause: error };
      if (cause instanceof DatabaseTlsError || cause instanceof DatabasePasswordMissingError) {
        throw new DatabaseUrlUnusableError(variable, cause);
      }
      const state = sqlStateOf(cause);
      if (state !== undefined && !isServerTrouble(state)) {
        throw new DatabaseRefusedError(variable, cause);
      }
      if (Date.now() + pause > deadline) {
        throw new DatabaseUnreachableError(cause, variable);
      }
      logger.warn(`Waiting for PostgreSQL: ${messageOf(cause)}; next try in ${pause} ms`);
      await delay(pause);
    }
  }
}
