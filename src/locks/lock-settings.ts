import type pg from 'pg';

/** Where locks are kept, and what tells them from other programs' locks there. Injected by its class. */
export abstract class LockSettings {
  /** PostgreSQL, directly or through a pooler in session or transaction mode. All replicas must name the same database. */
  abstract readonly databaseUrl: string;
  abstract readonly application: string;
  /** Installations of one application beside each other in a database differ in their schema. */
  abstract readonly schema: string;
  /** Makes the pool of connections to `databaseUrl`, for settings that the driver can't read from a URL. */
  readonly createPool?: (options: pg.PoolConfig) => pg.Pool;
}
