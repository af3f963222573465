import pg from 'pg';
import type { DataSourceOptions, Logger } from 'typeorm';
import { ApiKeyEntity } from '../access/api-key.entity.js';
import { AuditRecordEntity } from '../audit/audit-record.entity.js';
import type { Configuration } from '../config/configuration.js';
import { FailureEntity } from '../sweeps/failure.entity.js';
import { SweepEntity } from '../sweeps/sweep.entity.js';
import { POOL_SIZE } from './capacity.js';
import { ConnectErrorPool } from './connect-error-pool.js';
import { connectionOptions } from './connection-options.js';
import { CreateLapseTables1763800000000 } from './migrations/1763800000000-create-lapse-tables.js';
import { CreateAuditLog1763900000000 } from './migrations/1763900000000-create-audit-log.js';
import { IndexLedger1764000000000 } from './migrations/1764000000000-index-ledger.js';
import { IndexFailures1764100000000 } from './migrations/1764100000000-index-failures.js';
import { RecordReopenings1764200000000 } from './migrations/1764200000000-record-reopenings.js';
import { RecordRowsAsLeft1764300000000 } from './migrations/1764300000000-record-rows-as-left.js';
import { CountByPartition1764400000000 } from './migrations/1764400000000-count-by-partition.js';
import { OrderIdsWithinAMillisecond1764410000000 } from './migrations/1764410000000-order-ids-within-a-millisecond.js';
import { IndexHistories1764500000000 } from './migrations/1764500000000-index-histories.js';
import { UndoRanges1764600000000 } from './migrations/1764600000000-undo-ranges.js';

/** For statements outside short transactions, such as migrations; those inside have a limit of their own. */
const QUERY_TIMEOUT_MS = 45_000;
const CONNECT_TIMEOUT_MS = 5_000;

/** Longer than the usual interval of the schedule, so that a tick needn't connect anew. */
const IDLE_CONNECTION_MS = 150_000;

/** TypeORM would print failed migrations that are tried again; what matters is thrown, and logged by whoever catches it. */
const SILENT: Logger = {
  logQuery() {},
  logQueryError() {},
  logQuerySlow() {},
  logSchemaBuild() {},
  logMigration() {},
  log() {},
};

/**
 * The one place where the connection, the entities and the migrations are named.
 *
 * @param url of the database; that of the watched table unless given.
 */
export function dataSourceOptions(configuration: Configuration, url = configuration.databaseUrl) {
  const connection = connectionOptions(url);
  return {
    type: 'postgres',
    schema: configuration.schema,
    driver: { ...pg, Pool: ConnectErrorPool },
    ...(connection.database ? { database: connection.database } : {}),
    applicationName: connection.application_name ?? 'lapse',
    entities: [ApiKeyEntity, AuditRecordEntity, FailureEntity, SweepEntity],
    migrations: [
      CreateLapseTables1763800000000,
      CreateAuditLog1763900000000,
      IndexLedger1764000000000,
      IndexFailures1764100000000,
      RecordReopenings1764200000000,
      RecordRowsAsLeft1764300000000,
      CountByPartition1764400000000,
      OrderIdsWithinAMillisecond1764410000000,
      IndexHistories1764500000000,
      UndoRanges1764600000000,
    ],
    migrationsTableName: 'migrations',
    logger: SILENT,
    // Lapse needs no extension, and its role may not be allowed to create one.
    installExtensions: false,
    poolSize: POOL_SIZE,
    extra: {
      ...connection,
      idleTimeoutMillis: IDLE_CONNECTION_MS,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      // Sends BEGIN, a statement and COMMIT without waiting in between; a query that times out destroys its connection.
      pipeline: true,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
    },
  } satisfies DataSourceOptions;
}
