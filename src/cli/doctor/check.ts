import type { DataSource } from 'typeorm';
import type { Configuration } from '../../config/configuration.js';
import type { MigrationOutcome } from '../../database/migrate.js';
import type { WatchedTable } from '../../executions/watched-table.js';
import type { Outcome } from './finding.js';

/** The database as it is: nothing is migrated, created or changed by looking. */
export interface Database {
  configuration: Configuration;
  dataSource: DataSource;
  /** What came of the migrations that the service would run at its start; they were rolled back. */
  migration: MigrationRehearsal;
}

/** No outcome and no error: another process is migrating, or a migration takes too long to try it. */
export interface MigrationRehearsal {
  outcome?: MigrationOutcome | undefined;
  error?: unknown;
}

export type WatchedDatabase = Database & { watched: WatchedTable };

/** One question, and what it needs to be asked at all. It may throw: then what it threw is what was found. */
export type Check =
  | {
      name: string;
      needs: 'configuration';
      look(configuration: Configuration, isConnected: boolean): Promise<Outcome> | Outcome;
    }
  | { name: string; needs: 'database'; look(database: Database): Promise<Outcome> }
  | { name: string; needs: 'watched-table'; look(database: WatchedDatabase): Promise<Outcome> };
