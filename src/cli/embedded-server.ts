import { setTimeout as delay } from 'node:timers/promises';
import type { Configuration } from '../config/configuration.js';
import {
  DataDirectoryInUseError,
  EmbeddedPostgresMissingError,
} from '../database/embedded-postgres/embedded-postgres.errors.js';
import { EmbeddedPostgres } from '../database/embedded-postgres/embedded-postgres.js';
import type { PartsToStop } from './command-run.js';

/** A service that is just starting owns its server before it can be used. */
const PATIENCE_MS = 15_000;
const POLL_MS = 100;

/**
 * Without `DATABASE_URL`: leads to the server of the service that runs on the data directory, or starts the one that is
 * there for as long as the command runs. Creates none.
 *
 * @throws what `EmbeddedPostgres.start` throws.
 */
export async function withServer(given: Configuration, run: PartsToStop): Promise<Configuration> {
  if (!given.embedded) {
    return given;
  }
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const url = (await EmbeddedPostgres.findRunning(given.dataDirectory)) ?? (await startFor(run, given, deadline));
    if (url !== undefined) {
      return given.withEmbedded({ url });
    }
    await delay(POLL_MS);
  }
}

/** Undefined if a service is just starting: then its server is about to be ready. */
async function startFor(
  run: PartsToStop,
  { dataDirectory }: Configuration,
  deadline: number,
): Promise<string | undefined> {
  try {
    const starting = EmbeddedPostgres.start({ dataDirectory, mustExist: true });
    // From now on, not once it is up: a signal in between would leave the server behind.
    run.started({ stop: async () => (await starting.catch(() => undefined))?.stop() });
    return (await starting).url;
  } catch (error) {
    const isServiceStarting =
      error instanceof DataDirectoryInUseError ||
      (error instanceof EmbeddedPostgresMissingError && error.isBeingCreated);
    if (isServiceStarting && Date.now() < deadline) {
      return undefined;
    }
    throw error;
  }
}
