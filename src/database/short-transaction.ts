import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { DataSource, QueryRunner } from 'typeorm';
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js';
import { type Capacity, withCapacity } from './capacity.js';
import type { ConnectErrorPool } from './connect-error-pool.js';
import { DatabaseUnreachableError, NestedTransactionError } from './database.errors.js';
import { isLostToAnother, READ_ONLY, sqlStateOf } from './sql-state.js';

export interface TransactionLimits {
  /** Milliseconds after which PostgreSQL cancels a statement. */
  statementTimeout: number;
  /** Milliseconds that a statement waits for a lock. */
  lockTimeout: number;
  /** The share of the pool that the transaction uses; `records` unless given. */
  capacity?: Capacity;
  /**
   * `index-order` unless given: keeps plans to the few rows that a short transaction wants, in the order of an index,
   * if statistics are stale or missing. A sort or a bitmap would read everything that is overdue for each batch.
   * `any` leaves the planner free; `no-index-order` makes it read everything that matches, and sort.
   */
  plans?: keyof typeof PLANS;
  /** Breaks the transaction off when it aborts, for statements that take long: the server stops within a second. */
  signal?: AbortSignal;
}

/** For statements on Lapse's own tables that somebody waits for. */
export const RECORD_LIMITS: TransactionLimits = { statementTimeout: 5_000, lockTimeout: 2_000 };

const PLANS = {
  'index-order': 'SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off;',
  any: '',
  'no-index-order': 'SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off;',
} as const;

/** A process that freezes or vanishes inside a transaction keeps its row locks at most this much longer. */
const IDLE_IN_TRANSACTION_TIMEOUT = '5s';

/** How much longer than the server's own limit the client waits: then the connection is silent. */
const NETWORK_TIMEOUT_MS = 3_000;

/** Also the pause before the second attempt; it doubles. */
const FIRST_BACKOFF_MS = 20;
const MAX_ATTEMPTS = 4;

/**
 * What a role, a database or a pooler may have set otherwise and that would change a result or a plan. It is set for
 * each transaction, not for the connection, because a pooler in transaction mode gives each transaction another one.
 */
const SETTINGS = `
  SET LOCAL TimeZone = 'UTC';
  SET LOCAL DateStyle = 'ISO, YMD';
  SET LOCAL extra_float_digits = 1;
  SET LOCAL array_nulls = on;
  SET LOCAL quote_all_identifiers = off;
  SET LOCAL idle_in_transaction_session_timeout = '${IDLE_IN_TRANSACTION_TIMEOUT}';`;

/** True inside a transaction, for the whole call chain. */
const insideTransaction = new AsyncLocalStorage<true>();

/**
 * Runs `work` in one READ COMMITTED transaction, and commits it. The whole of Lapse reaches the database this way, apart
 * from migrations and locks.
 *
 * If the server rolls the transaction back because of a deadlock or a serialization failure, `work` runs again. A
 * connection whose state is unknown (no answer in time, no answer to ROLLBACK) is destroyed, never reused: the next user
 * would otherwise continue, and commit, what this one began.
 *
 * @throws NestedTransactionError inside another transaction: pass `transaction` on instead.
 * @throws DatabaseUnreachableError, DatabaseBusyError, and whatever `work` throws.
 */
export async function inShortTransaction<T>(
  dataSource: DataSource,
  limits: TransactionLimits,
  work: (transaction: QueryRunner) => Promise<T>,
): Promise<T> {
  return withConnection(dataSource, limits, async (queryRunner) => {
    // The first statement of `work` is sent right behind it. If this fails, so does everything until ROLLBACK.
    const begun = queryRunner.query(beginSql(limits));
    const [result] = await Promise.all([work(queryRunner), begun]);
    await queryRunner.query('COMMIT');
    return result;
  });
}

/** A statement with its parameters. */
export type Statement = readonly [sql: string, parameters?: unknown[]];

/**
 * Runs statements in a transaction of their own, all in a single round trip, and returns the rows of the last one.
 *
 * @throws as `inShortTransaction` does.
 */
export async function queryAll<Row>(
  dataSource: DataSource,
  limits: TransactionLimits,
  statements: readonly Statement[],
): Promise<Row[]> {
  return withConnection(dataSource, limits, async (_queryRunner, connection) => {
    // Sent without waiting in between. If one fails, so do those that follow: COMMIT then rolls back.
    const answers = await Promise.allSettled([
      connection.query(beginSql(limits)),
      ...statements.map(([sql, parameters = []]) => connection.query(sql, parameters)),
      connection.query('COMMIT'),
    ]);
    const failed = answers.find((answer) => answer.status === 'rejected');
    if (failed) {
      throw sqlStateOf(failed.reason) === undefined ? new DatabaseUnreachableError(failed.reason) : failed.reason;
    }
    return (answers.at(-2) as PromiseFulfilledResult<pg.QueryResult>).value.rows;
  });
}

/** The same for one statement. */
export async function queryOnce<Row>(
  dataSource: DataSource,
  limits: TransactionLimits,
  sql: string,
  parameters: unknown[] = [],
): Promise<Row[]> {
  return queryAll(dataSource, limits, [[sql, parameters]]);
}

/** The same for a statement that always returns a row. */
export async function queryRow<Row>(
  dataSource: DataSource,
  limits: TransactionLimits,
  sql: string,
  parameters: unknown[] = [],
): Promise<Row> {
  const [row] = await queryOnce<Row>(dataSource, limits, sql, parameters);
  return row as Row;
}

async function withConnection<T>(
  dataSource: DataSource,
  limits: TransactionLimits,
  work: (queryRunner: QueryRunner, connection: pg.PoolClient) => Promise<T>,
): Promise<T> {
  if (insideTransaction.getStore()) {
    throw new NestedTransactionError();
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await withCapacity(dataSource, limits.capacity ?? 'records', () =>
        insideTransaction.run(true, () => tryOnce(dataSource, limits, work)),
      );
    } catch (error) {
      if (!isLostToAnother(error) || attempt === MAX_ATTEMPTS) {
        throw error;
      }
      await delay(FIRST_BACKOFF_MS * 2 ** (attempt - 1) * (0.5 + Math.random()));
    }
  }
}

async function tryOnce<T>(
  dataSource: DataSource,
  limits: TransactionLimits,
  work: (queryRunner: QueryRunner, connection: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const queryRunner = dataSource.createQueryRunner();
  const connection: PooledConnection = await queryRunner.connect();
  setQueryTimeout(connection, limits.statementTimeout + NETWORK_TIMEOUT_MS);
  const breakOff = () => connection.connection.stream.destroy();
  limits.signal?.addEventListener('abort', breakOff);
  try {
    limits.signal?.throwIfAborted();
    return await work(queryRunner, connection);
  } catch (error) {
    await rollBack(dataSource, connection, error);
    throw limits.signal?.aborted ? limits.signal.reason : error;
  } finally {
    limits.signal?.removeEventListener('abort', breakOff);
    await queryRunner.release();
  }
}

/** The pool closes a connection that is ending instead of keeping it. */
async function rollBack(dataSource: DataSource, connection: PooledConnection, error: unknown): Promise<void> {
  try {
    await connection.query('ROLLBACK');
    if (sqlStateOf(error) !== READ_ONLY) {
      return;
    }
  } catch {
    // Falls through: the end of the session rolls back on the server.
  }
  connection.end().catch(() => undefined);
  poolOf(dataSource).retireConnections();
}

function beginSql({ statementTimeout, lockTimeout, plans = 'index-order', signal }: TransactionLimits): string {
  return `BEGIN ISOLATION LEVEL READ COMMITTED;${SETTINGS}
  ${signal ? `SET LOCAL client_connection_check_interval = '1s';` : ''}
  SET LOCAL statement_timeout = ${statementTimeout};
  SET LOCAL lock_timeout = ${lockTimeout};
  ${PLANS[plans]}`;
}

/** Milliseconds after which the driver gives up a query on this connection, and destroys the connection. */
export function setQueryTimeout(connection: PooledConnection, ms: number): void {
  connection.connectionParameters.query_timeout = ms;
}

/** What the driver has and its types don't: where it reads the limit of each query, and its socket. */
type PooledConnection = pg.PoolClient & {
  connectionParameters: { query_timeout: number };
  connection: { stream: { destroy(): void } };
  end(): Promise<void>;
};

function poolOf(dataSource: DataSource): ConnectErrorPool {
  return (dataSource.driver as PostgresDriver).master;
}
