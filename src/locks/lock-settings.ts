import type { Pool, PoolConfig } from 'pg';
import { LockSettingsInvalidError } from './locks.errors.js';

/** Where locks are kept, and what tells them from other programs' locks there. Injected by its class. */
export abstract class LockSettings {
  /** PostgreSQL, directly or through a pooler in session or transaction mode. All replicas must name the same database. */
  abstract readonly databaseUrl: string;
  abstract readonly application: string;
  /** Installations of one application beside each other in a database differ in their schema. */
  abstract readonly schema: string;
  /** Makes the pool of connections to `databaseUrl`, for settings that the driver can't read from a URL. */
  readonly createPool?: (options: PoolConfig) => Pool;
}

/**
 * All faults are reported together. The URL may hold a password, so no message repeats it.
 *
 * @throws LockSettingsInvalidError
 */
export function assertUsable(settings: LockSettings): void {
  const faults = [
    ...urlFaults(settings.databaseUrl),
    ...(['application', 'schema'] as const)
      .filter((name) => typeof settings[name] !== 'string' || settings[name] === '')
      .map((name) => `${name} is ${settings[name] === '' ? 'empty' : 'missing'}, and must be a name`),
  ];
  if (faults.length > 0) {
    throw new LockSettingsInvalidError(faults);
  }
}

/** A program without type checks, or one that reads its environment too early, may pass anything. */
function urlFaults(databaseUrl: unknown): string[] {
  const wanted = 'must be a URL such as postgres://user:password@host:5432/database';
  if (typeof databaseUrl !== 'string' || databaseUrl.trim() === '') {
    return [`databaseUrl is ${databaseUrl === undefined ? 'missing' : 'empty'}, and ${wanted} (is DATABASE_URL set?)`];
  }
  if (!URL.canParse(databaseUrl)) {
    return [`databaseUrl is not a URL, and ${wanted}; special characters of a password are percent-encoded there`];
  }
  const { protocol } = new URL(databaseUrl);
  return ['postgres:', 'postgresql:'].includes(protocol)
    ? []
    : [`databaseUrl begins with "${protocol}", and ${wanted}`];
}
