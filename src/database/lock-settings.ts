import type { Configuration } from '../config/configuration.js';
import type { LockSettings } from '../locks/lock-settings.js';
import { connectionOptions } from './connection-options.js';
import { PostgresPool } from './postgres-pool.js';

/** Where Lapse's locks are kept, and how to connect there. */
export function lockSettings({ lockDatabaseUrl, schema }: Configuration): LockSettings {
  return {
    application: 'lapse',
    databaseUrl: lockDatabaseUrl,
    schema,
    createPool: (options) => new PostgresPool({ ...connectionOptions(lockDatabaseUrl), ...options }),
  };
}
