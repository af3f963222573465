import { type INestApplicationContext, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { DataSource } from 'typeorm';
import { AppModule } from '../app.module.js';
import { type Configuration, readConfiguration } from '../config/configuration.js';
import { connectPatiently, openDatabase } from '../database/open-database.js';
import { CommandLogger } from './command-logger.js';
import type { CommandRun } from './command-run.js';
import { withServer } from './embedded-server.js';

/** A service waits for its database for ever; a person, or a job that is run again, wants to be told. */
export const PATIENCE_MS = 5_000;

/**
 * The service's own services, on its database, without HTTP and without the schedule.
 *
 * @throws ConfigurationInvalidError, and what `openDatabase` and the boot of the application throw.
 */
export async function openApplication(run: CommandRun): Promise<INestApplicationContext> {
  Logger.overrideLogger(new CommandLogger());
  const configuration = await withServer(readConfiguration(), run);
  const dataSource = await openDatabase(configuration, PATIENCE_MS);
  const module = AppModule.for(configuration.asCommand(), dataSource);
  const app = await NestFactory.createApplicationContext(module, { abortOnError: false }).catch(async (error) => {
    await dataSource.destroy();
    throw error;
  });
  run.started({ stop: () => app.close() });
  return app;
}

/** The database alone, as it is. */
export async function openForMigration(
  run: CommandRun,
): Promise<{ dataSource: DataSource; configuration: Configuration }> {
  Logger.overrideLogger(new CommandLogger());
  const configuration = await withServer(readConfiguration(), run);
  const dataSource = await connectPatiently(configuration, 'DATABASE_URL', PATIENCE_MS);
  run.started({ stop: () => dataSource.destroy() });
  return { dataSource, configuration };
}
