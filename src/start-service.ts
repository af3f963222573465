import { setFlagsFromString } from 'node:v8';
import { type INestApplication, Logger } from '@nestjs/common';
import { keptAdminKey } from './access/kept-admin-key.js';
import { AppModule } from './app.module.js';
import { announce } from './banner.js';
import { type Configuration, readConfiguration } from './config/configuration.js';
import { readLogSettings } from './config/log-settings.js';
import { createApp } from './configure-app.js';
import { EmbeddedPostgres } from './database/embedded-postgres/embedded-postgres.js';
import { openDatabase } from './database/open-database.js';
import { DemoHost } from './demo/demo-host.js';
import { inspectWatchedTable } from './executions/watched-table.js';
import { onLauncherEnd } from './launcher-watch.js';
import { ServiceLogger } from './service-logger.js';
import { ListenFailedError, startErrorLine } from './start.errors.js';

/** Docker gives ten seconds between SIGTERM and SIGKILL. A shutdown that takes longer than this ends with exit code 1. */
const SHUTDOWN_TIMEOUT_MS = 4_500;

/**
 * By how much of itself the heap may grow before it is cleaned: V8 would let it become several times what is in use
 * before it looks, and a long download fill a small container with what nobody needs any more.
 */
const HEAP_GROWING_PERCENT = 20;

/** What has been started, to be stopped in the opposite order. */
const started: { stop(): Promise<unknown> }[] = [];
let stopping: Promise<void> | undefined;

/** Starts the service. The process ends after a signal, with its package manager, or if the service can't start. */
export function startService(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
  Logger.overrideLogger(new ServiceLogger(readLogSettings()));
  surviveClosedOutput();
  stopWhenAsked();
  start().catch(giveUp);
}

async function start(): Promise<void> {
  const given = readConfiguration();
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
  const { host, port } = configuration;
  await app.listen(port, host).catch((error: NodeJS.ErrnoException) => {
    throw error.syscall === undefined ? error : new ListenFailedError(host, port, error);
  });
  return app;
}

/** Once, however often it is asked for. What can't be stopped keeps nothing else from being stopped. */
function stopAll(): Promise<void> {
  stopping ??= (async () => {
    setTimeout(() => process.exit(1), SHUTDOWN_TIMEOUT_MS).unref();
    for (const part of started.splice(0).reverse()) {
      await part.stop().catch((error: unknown) => {
        process.exitCode = 1;
        new Logger('Lapse').error(`Can't stop in order: ${startErrorLine(error)}`);
      });
    }
  })();
  return stopping;
}

/**
 * From the first moment on: as process 1 of a container, Node gets no default action for a signal. A second signal changes
 * nothing, since some supervisors send it to the whole process group and once more to the process. A closed terminal sends
 * SIGHUP, and would otherwise end the process without its PostgreSQL.
 */
function stopWhenAsked(): void {
  const stop = (reason: string): void => {
    if (!stopping) {
      new Logger('Lapse').log(`${reason}: stopping`);
      stopAll().then(() => process.exit());
    }
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => stop(signal));
  }
  onLauncherEnd(() => stop('The package manager that ran the service has ended'));
}

/** A terminal that was closed, or a log reader that has ended, is no reason to break off without stopping in order. */
function surviveClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'EIO') {
        throw error;
      }
    });
  }
}

/** In one line: what is wrong is for a person to correct, and a stack would hide it. */
function giveUp(error: unknown): void {
  if (stopping) {
    // What was starting when the signal came failed because it was stopped.
    return;
  }
  const logger = new Logger('Lapse');
  logger.fatal(startErrorLine(error));
  if (error instanceof Error) {
    logger.debug(error.stack);
  }
  process.exitCode = 1;
  stopAll().then(() => process.exit());
}
