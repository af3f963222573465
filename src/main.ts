import 'reflect-metadata';
import { type INestApplication, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { keptAdminKey } from './access/kept-admin-key.js';
import { AppModule } from './app.module.js';
import { announce } from './banner.js';
import { type Configuration, readConfiguration } from './config/configuration.js';
import { APP_OPTIONS, configureApp } from './configure-app.js';
import { EmbeddedPostgres } from './database/embedded-postgres.js';
import { openDatabase } from './database/open-database.js';
import { DemoHost } from './demo/demo-host.js';
import { inspectWatchedTable } from './executions/watched-table.js';
import { ServiceLogger } from './service-logger.js';

/** Docker gives ten seconds between SIGTERM and SIGKILL; a shutdown that takes longer than this is cut off by us. */
const SHUT_DOWN_WITHIN_MS = 4_500;

async function start(): Promise<void> {
  const given = readConfiguration();
  Logger.overrideLogger(new ServiceLogger(given.embedded ? 'text' : 'json'));
  const embedded = given.embedded ? await EmbeddedPostgres.start({ dataDirectory: given.dataDirectory }) : undefined;
  try {
    const configuration = embedded
      ? given.withEmbedded({ url: embedded.url, adminKey: await keptAdminKey(given.dataDirectory) })
      : given;
    const app = await serve(configuration);
    const demo = configuration.demo ? await DemoHost.start(configuration) : undefined;
    await announce(app, configuration);
    stopOnSignal(async () => {
      await demo?.stop();
      await app.close();
      await embedded?.stop();
    });
  } catch (error) {
    await embedded?.stop();
    throw error;
  }
}

async function serve(configuration: Configuration): Promise<INestApplication> {
  const dataSource = await openDatabase(configuration);
  await inspectWatchedTable(dataSource, configuration.watchedSchema);
  const app = await NestFactory.create(AppModule.for(configuration, dataSource), APP_OPTIONS);
  configureApp(app);
  await app.listen(configuration.port, configuration.host);
  return app;
}

function stopOnSignal(stop: () => Promise<void>): void {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) {
      return;
    }
    stopping = true;
    Logger.log(`${signal}: stopping`, 'Lapse');
    setTimeout(() => process.exit(1), SHUT_DOWN_WITHIN_MS).unref();
    stop().then(
      () => process.exit(0),
      (error) => giveUp(error),
    );
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}

/** One line or a few, in words: what is wrong is for a person to mend, and a stack would hide it. */
function giveUp(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

start().catch(giveUp);
