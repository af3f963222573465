import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, QueryRunner } from 'typeorm';
import { inShortTransaction, queryOnce, type TransactionLimits } from '../database/short-transaction.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE, QUERY_CANCELED, sqlStateOf } from '../database/sql-state.js';
import {
  type TableLockHolder,
  WatchedTableLockedError,
  WatchedTableMissingError,
  WatchedTableReadTimeoutError,
  WatchedTableUnreadableError,
  WatchedTableUnsuitableError,
} from './watched-table.errors.js';
import { WatchedTable } from './watched-table.js';

/** A read waits a second for a lock that somebody has on the table, as a migration of the host's takes one. */
const LOCK_TIMEOUT_MS = 1_000;
const REPEATED_LOCK_TIMEOUT_MS = 50;
const LIMITS = { statementTimeout: 10_000, capacity: 'watched-reads' } as const;
const HOLDER_LIMITS = { statementTimeout: 1_000, lockTimeout: 500 };

/** A change of the table that raises no error, such as from `timestamp` to `timestamptz`, is noticed within this time. */
const MAX_LAYOUT_AGE_MS = 30_000;

/**
 * Undefined column, table, function or operator, another type, text that is no value of a column's new type, another
 * result of a cached plan.
 */
const CHANGED_TABLE = ['42703', '42P01', '42883', '42804', '22P02', '0A000'];

/** The one way to read the watched table, and `conversations` beside it. What the host does to them never is a 500. */
@Injectable()
export class WatchedReads {
  private holder: Promise<TableLockHolder | undefined> | undefined;
  private lockedAt = Number.NEGATIVE_INFINITY;
  /** While the table is known to be locked, reads that waited for a connection don't wait as long again. */
  private readonly limits: TransactionLimits;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly watched: WatchedTable,
  ) {
    const isLocked = () => performance.now() - this.lockedAt < LOCK_TIMEOUT_MS;
    this.limits = {
      ...LIMITS,
      get lockTimeout() {
        return isLocked() ? REPEATED_LOCK_TIMEOUT_MS : LOCK_TIMEOUT_MS;
      },
    };
  }

  /**
   * Reads with one statement.
   *
   * @param build makes the SQL, anew for each attempt.
   * @throws WatchedTableLockedError, WatchedTableReadTimeoutError, WatchedTableUnreadableError
   */
  read<Row>(build: (parameters: SqlParameters) => string): Promise<Row[]> {
    return this.attempt(() => {
      const parameters = new SqlParameters();
      const sql = build(parameters);
      return queryOnce(this.dataSource, this.limits, sql, parameters.values);
    });
  }

  /**
   * Reads with several statements, in one short transaction.
   *
   * @throws as `read` does.
   */
  run<T>(work: (transaction: QueryRunner) => Promise<T>): Promise<T> {
    return this.attempt(() => inShortTransaction(this.dataSource, this.limits, work));
  }

  /** If the table seems to have changed, it is inspected again and read once more. */
  private async attempt<T>(read: () => Promise<T>): Promise<T> {
    try {
      await this.watched.refreshIfOlderThan(MAX_LAYOUT_AGE_MS);
      return await read().catch(async (error: unknown) => {
        if (!CHANGED_TABLE.includes(sqlStateOf(error) ?? '')) {
          throw error;
        }
        await this.watched.refresh();
        return read();
      });
    } catch (error) {
      throw await this.explain(error);
    }
  }

  private async explain(error: unknown): Promise<unknown> {
    const state = sqlStateOf(error) ?? '';
    if (state === LOCK_NOT_AVAILABLE) {
      this.lockedAt = performance.now();
      return new WatchedTableLockedError(await this.findHolder(), error);
    }
    if (state === QUERY_CANCELED) {
      return new WatchedTableReadTimeoutError(LIMITS.statementTimeout, error);
    }
    const isUnreadable =
      error instanceof WatchedTableUnsuitableError ||
      error instanceof WatchedTableMissingError ||
      [...CHANGED_TABLE, INSUFFICIENT_PRIVILEGE].includes(state);
    return isUnreadable ? new WatchedTableUnreadableError(error as Error) : error;
  }

  /** Reads that meet the same lock ask once between them. Who holds it is an extra: the answer doesn't depend on it. */
  private findHolder(): Promise<TableLockHolder | undefined> {
    this.holder ??= queryOnce<TableLockHolder>(this.dataSource, HOLDER_LIMITS, HOLDER_SQL, [this.watched.schema])
      .then(([holder]) => holder)
      .catch(() => undefined)
      .finally(() => {
        this.holder = undefined;
      });
    return this.holder;
  }
}

/**
 * Whoever has, or waits for, a lock that excludes readers, on the tables, a partition or an index of them; one that has
 * it comes first. From the catalogue alone: a function that opens the table would wait for the same lock.
 */
const HOLDER_SQL = `
  WITH RECURSIVE tables AS (
    SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname IN ('workflow_executions', 'conversations')
    UNION
    SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tables ON i.inhparent = tables.oid),
  relations AS (
    SELECT oid FROM tables
    UNION ALL SELECT i.indexrelid FROM pg_catalog.pg_index i JOIN tables ON i.indrelid = tables.oid)
  SELECT l.pid, a.application_name AS "applicationName",
         to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS since,
         NOT l.granted AS "isWaiting", CASE WHEN l.granted THEN '{}' ELSE pg_blocking_pids(l.pid) END AS "waitsFor"
    FROM pg_catalog.pg_locks l
    LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
   WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
     AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
     AND l.relation IN (SELECT oid FROM relations)
   ORDER BY l.granted DESC, a.xact_start
   LIMIT 1`;
