import type { DataSource } from 'typeorm';
import type { Configuration } from '../../config/configuration.js';
import type { WatchedTable } from '../../executions/watched-table.js';
import type { Outcome } from './finding.js';

/** The database as it is: nothing is migrated, created or changed by looking. */
export interface Database {
  configuration: Configuration;
  dataSource: DataSource;
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
