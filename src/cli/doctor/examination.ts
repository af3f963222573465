import { Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { ConfigurationInvalidError } from '../../config/configuration.errors.js';
import { type Configuration, readConfiguration } from '../../config/configuration.js';
import { describeServer, parseDatabaseUrl } from '../../config/database-address.js';
import { dataSourceOptions } from '../../database/data-source-options.js';
import { DatabasePasswordMissingError, DatabaseTlsError, messageOf } from '../../database/database.errors.js';
import { EmbeddedPostgresMissingError } from '../../database/embedded-postgres/embedded-postgres.errors.js';
import { rehearseMigration } from '../../database/migrate.js';
import { inspectWatchedTable, type WatchedTable } from '../../executions/watched-table.js';
import { CommandLogger } from '../command-logger.js';
import type { PartsToStop } from '../command-run.js';
import { withServer } from '../embedded-server.js';
import type { Check, Database, MigrationRehearsal } from './check.js';
import { CHECKS } from './checks.js';
import { lookAtConnection } from './connection.check.js';
import { type Finding, fail, type Outcome, skip } from './finding.js';
import { describeWatchedTable, explainWatchedTable } from './watched-table.check.js';

/** Whoever asks what is wrong doesn't want to wait for a server that is silent. */
const CONNECT_WITHIN_MS = 5_000;
const ANSWER_WITHIN_MS = 15_000;

/** What is there to be looked at; more and more of it as the examination goes on. */
interface Found {
  configuration: Configuration;
  database: Database | undefined;
  watched: WatchedTable | undefined;
}

/**
 * Looks at everything that Lapse stands on, without an application, which wouldn't start where something is missing.
 * Goes as far as it can: what can't be looked at is said to be skipped.
 *
 * @param variables of the environment; those of this process unless given.
 */
export async function* examine(run: PartsToStop, variables?: NodeJS.ProcessEnv): AsyncGenerator<Finding> {
  Logger.overrideLogger(new CommandLogger());
  let given: Configuration;
  try {
    given = readConfiguration(variables);
  } catch (error) {
    if (!(error instanceof ConfigurationInvalidError)) {
      throw error;
    }
    const remedy = 'correct the environment; the README lists every variable';
    yield { check: 'configuration', ...fail(error.faults.join('; '), remedy) };
    return;
  }
  const found: Found = { configuration: given, database: undefined, watched: undefined };
  yield { check: 'connection', ...(await connect(found, run)) };
  yield { check: 'watched table', ...(await findWatchedTable(found)) };
  for (const check of CHECKS) {
    yield { check: check.name, ...(await look(check, found)) };
  }
}

async function connect(found: Found, run: PartsToStop): Promise<Outcome> {
  const { embedded } = found.configuration;
  try {
    found.configuration = await withServer(found.configuration, run);
    const dataSource = await open(found.configuration);
    run.started({ stop: () => dataSource.destroy() });
    const migration = await rehearse(dataSource, found.configuration);
    found.database = { configuration: found.configuration, dataSource, migration };
    return await lookAtConnection(found.database);
  } catch (error) {
    if (error instanceof EmbeddedPostgresMissingError) {
      return fail(
        `DATABASE_URL is not set, and no PostgreSQL of Lapse's own is under ${error.dataDirectory}`,
        'set DATABASE_URL; or set LAPSE_DATA_DIR to the data directory of a service, or start one with "lapse serve", ' +
          'which creates it',
      );
    }
    const { cause } = error as { cause?: unknown };
    if (cause instanceof DatabaseTlsError || cause instanceof DatabasePasswordMissingError) {
      return fail(cause.message, `correct DATABASE_URL: ${cause.remedy}`);
    }
    const where = embedded ? '' : `${describeServer(parseDatabaseUrl(found.configuration.databaseUrl))}: `;
    const remedy = embedded
      ? 'see the message; or set DATABASE_URL'
      : 'check that the server runs and can be reached from here, and host, database, role and password in DATABASE_URL';
    return fail(`${where}${messageOf(error)}`, remedy);
  }
}

async function rehearse(dataSource: DataSource, configuration: Configuration): Promise<MigrationRehearsal> {
  try {
    return { outcome: await rehearseMigration(dataSource, configuration) };
  } catch (error) {
    return { error };
  }
}

function open(configuration: Configuration): Promise<DataSource> {
  const options = dataSourceOptions(configuration);
  const limits = { connectionTimeoutMillis: CONNECT_WITHIN_MS, query_timeout: ANSWER_WITHIN_MS };
  return new DataSource({ ...options, extra: { ...options.extra, ...limits } }).initialize();
}

async function findWatchedTable(found: Found): Promise<Outcome> {
  if (!found.database) {
    return skip('there is no connection');
  }
  try {
    found.watched = await inspectWatchedTable(found.database.dataSource, found.configuration.watchedSchema);
    return describeWatchedTable(found.watched);
  } catch (error) {
    return explainWatchedTable(error, found.database);
  }
}

async function look(check: Check, { configuration, database, watched }: Found): Promise<Outcome> {
  try {
    if (check.needs === 'configuration') {
      return await check.look(configuration, database !== undefined);
    }
    if (!database) {
      return skip('there is no connection');
    }
    if (check.needs === 'database') {
      return await check.look(database);
    }
    return watched ? await check.look({ ...database, watched }) : skip('there is no watched table');
  } catch (error) {
    return fail(messageOf(error), 'see the message: it is what the database answered');
  }
}
