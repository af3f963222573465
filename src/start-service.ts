import { setFlagsFromString } from 'node:v8';
import { type INestApplication, Logger } from '@nestjs/common';
import { keptAdminKey } from './access/kept-admin-key.js';
import { AppModule } from './app.module.js';
import { announce } from './banner.js';
import { type Configuration, readConfiguration } from './config/configuration.js';
import { createApp } from './configure-app.js';
import { EmbeddedPostgres } from './database/embedded-postgres/embedded-postgres.js';
import { openDatabase } from './database/open-database.js';
import { DemoHost } from './demo/demo-host.js';
import { inspectWatchedTable } from './executions/watched-table.js';
import { ServiceLogger } from './service-logger.js';

/** Docker gives ten seconds between SIGTERM and SIGKILL. A shutdown that takes longer than this ends with exit code 1. */
const SHUTDOWN_TIMEOUT_MS = 4_500;

/**
 * By how much of itself the heap may grow before it is cleaned: V8 would let it become several times what is in use
 * before it looks, and a long download fill a small container with what nobody needs any more.
 */
const HEAP_GROWING_PERCENT = 20;

/** What has been started, to be stopped in the opposite order. */
const started: { stop(): Promise<unknown> }[] = [];

/** Starts the service, and ends the process when a signal says so, or at once where it can't start. */
export function startService(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
  stopOnSignal();
  start().catch(giveUp);
}

async function start(): Promise<void> {
  const given = readConfiguration();
  Logger.overrideLogger(new ServiceLogger(given.embedded ? 'text' : 'json'));
  const configuration = given.embedded ? await startEmbeddedPostgres(given) : given;
  const app = await serve(configuration);
  if (configuration.demo) {
    started.push(await DemoHost.start(configuration));
  }
  await announce(app, configuration);
}

async function startEmbeddedPostgres(configuration: Configuration): Promise<Configuration> {
  const { dataDirectory } = configuration;
  const starting = EmbeddedPostgres.start({ dataDirectory });
  // From now on, not once it is up: a signal in between would leave the server behind.
  started.push({ stop: async () => (await starting.catch(() => undefined))?.stop() });
  const { url } = await starting;
  return configuration.withEmbedded({ url, adminKey: await keptAdminKey(dataDirectory) });
}

async function serve(configuration: Configuration): Promise<INestApplication> {
  const dataSource = await openDatabase(configuration);
  await inspectWatchedTable(dataSource, configuration.watchedSchema);
  const app = await createApp(AppModule.for(configuration, dataSource));
  started.push({ stop: () => app.close() });
  await app.listen(configuration.port, configuration.host);
  return app;
}

async function stopAll(): Promise<void> {
  setTimeout(() => process.exit(1), SHUTDOWN_TIMEOUT_MS).unref();
  for (const part of started.splice(0).reverse()) {
    await part.stop();
  }
}

/**
 * From the first moment on: as process 1 of a container, Node gets no default action for a signal. A second signal changes
 * nothing, since some supervisors send it to the whole process group and once more to the process.
 */
function stopOnSignal(): void {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (!stopping) {
      stopping = true;
      Logger.log(`${signal}: stopping`, 'Lapse');
      stopAll().then(() => process.exit(0), giveUp);
    }
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}

/** A line or a few, in words: what is wrong is for a person to mend, and a stack would hide it. */
function giveUp(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  stopAll().finally(() => process.exit(1));
}
