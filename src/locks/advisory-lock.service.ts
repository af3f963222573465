import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import pg from 'pg';
import { Configuration } from '../config/configuration.js';
import { milliseconds } from '../config/duration.js';
import { advisoryLockKey } from './advisory-lock-key.js';
import { HeldLock } from './held-lock.js';
import { LocalQueue } from './local-queue.js';
import { LockBusy, type LockHolder, type LockOptions } from './lock-options.js';
import { withLockSignal } from './lock-signal.js';
import { LockUnavailableError, ShuttingDownError } from './locks.errors.js';

const CONNECT_WITHIN_MS = 5_000;
/** Longer than the usual interval of a schedule, so that a tick needn't connect anew. */
const IDLE_CONNECTION_MS = 150_000;
const DRAIN_WITHIN_MS = 3_500;

/** Runs work under PostgreSQL advisory locks, each on a connection of its own, outside the application's pool. */
@Injectable()
export class AdvisoryLockService implements BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly logger = new Logger('Locks');
  private readonly pool: pg.Pool;
  private readonly queue = new LocalQueue();
  private readonly running = new Map<HeldLock, Promise<unknown>>();
  private readonly stopping = new AbortController();
  private databaseName: string | undefined;

  constructor(private readonly configuration: Configuration) {
    this.pool = new pg.Pool({
      connectionString: configuration.lockDatabaseUrl,
      application_name: 'lapse-locks',
      max: 50,
      idleTimeoutMillis: IDLE_CONNECTION_MS,
      connectionTimeoutMillis: CONNECT_WITHIN_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: 5_000,
    });
    this.pool.on('error', (error) => {
      if (!this.stopping.signal.aborted) {
        this.logger.warn(`An idle lock connection ended: ${error.message}`);
      }
    });
    // A connection that breaks while it is checked out says so to its query and to this event; without a listener the
    // event would end the process.
    this.pool.on('connect', (connection) => connection.on('error', () => undefined));
  }

  /**
   * Runs `work` while holding the lock, and returns what it returned; LockBusy where somebody else holds it.
   *
   * @throws LockUnavailableError where the database can't be asked, ShuttingDownError once shutdown has begun.
   */
  async withLock<T>(options: LockOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T | LockBusy> {
    const deadline = Date.now() + (options.onBusy === 'wait' ? milliseconds(options.waitFor ?? '5s') : 0);
    const leave = await this.queue.enter(options.name, deadline - Date.now());
    if (!leave) {
      return new LockBusy(options.name, await this.holderOf(options.name));
    }
    try {
      const lock = await this.take(options, deadline);
      return lock
        ? await this.runUnder(lock, options, work)
        : new LockBusy(options.name, await this.holderOf(options.name));
    } finally {
      leave();
    }
  }

  /** Who holds the lock now; undefined where nobody does. */
  async holderOf(name: string): Promise<LockHolder | undefined> {
    try {
      const { rows } = await this.pool.query(
        `SELECT a.application_name AS "applicationName", a.xact_start AS since
           FROM pg_locks l JOIN pg_stat_activity a USING (pid)
          WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (l.classid::bigint << 32) | l.objid::bigint = $1::bigint`,
        [await this.keyOf(name)],
      );
      return rows[0];
    } catch (error) {
      throw new LockUnavailableError(name, error);
    }
  }

  /** Tells running work to stop and gives it a moment, while the pools that it needs are still open. */
  async beforeApplicationShutdown(): Promise<void> {
    const reason = new ShuttingDownError();
    this.stopping.abort(reason);
    for (const lock of this.running.keys()) {
      lock.stop(reason);
    }
    await Promise.race([Promise.allSettled(this.running.values()), delay(DRAIN_WITHIN_MS, undefined, { ref: false })]);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.pool.end();
  }

  private async take(options: LockOptions, deadline: number): Promise<HeldLock | undefined> {
    const key = await this.keyOf(options.name);
    for (;;) {
      this.stopping.signal.throwIfAborted();
      const lock = await this.tryToTake(options, key);
      if (lock || Date.now() >= deadline) {
        return lock;
      }
      // Asked again and again rather than waited for inside a query, which would hold back vacuum meanwhile.
      await delay(Math.min(200 + Math.random() * 200, Math.max(deadline - Date.now(), 0)));
    }
  }

  private async tryToTake(options: LockOptions, key: string): Promise<HeldLock | undefined> {
    const connection = await this.connect(options.name);
    try {
      // Of several statements in one text, pg answers with a list, which its types don't tell.
      const answers = (await connection.query(takeLockSql(options.name, key))) as unknown as pg.QueryResult[];
      if (answers.at(-1)?.rows[0]?.locked) {
        return new HeldLock(options.name, connection, options.atMost && milliseconds(options.atMost));
      }
      await connection.query('ROLLBACK');
      connection.release();
      return undefined;
    } catch (error) {
      connection.release(true);
      throw new LockUnavailableError(options.name, error);
    }
  }

  private async runUnder<T>(
    lock: HeldLock,
    options: LockOptions,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const earliestRelease = Date.now() + (options.atLeast ? milliseconds(options.atLeast) : 0);
    const run = withLockSignal(lock.signal, () => work(lock.signal));
    const whole = run
      .finally(() =>
        delay(Math.max(earliestRelease - Date.now(), 0), undefined, { signal: lock.signal }).catch(() => undefined),
      )
      .finally(() => lock.release());
    this.running.set(lock, whole);
    if (this.stopping.signal.aborted) {
      lock.stop(this.stopping.signal.reason);
    }
    try {
      return await whole;
    } finally {
      this.running.delete(lock);
    }
  }

  private async connect(name: string): Promise<pg.PoolClient> {
    try {
      return await this.pool.connect();
    } catch (error) {
      throw new LockUnavailableError(name, error);
    }
  }

  private async keyOf(name: string): Promise<string> {
    this.databaseName ??= await this.askDatabaseName(name);
    return advisoryLockKey({ database: this.databaseName, schema: this.configuration.schema, name });
  }

  private async askDatabaseName(name: string): Promise<string> {
    try {
      const { rows } = await this.pool.query('SELECT current_database() AS name');
      return rows[0].name;
    } catch (error) {
      throw new LockUnavailableError(name, error);
    }
  }
}

/**
 * One round trip of simple queries. A transaction lock rather than a session lock, because a pooler in transaction
 * mode keeps a server connection for a transaction only. Timeouts that a role may carry would end it early; the last
 * one exists since PostgreSQL 17, so it is set only where there is one.
 */
function takeLockSql(name: string, key: string): string {
  const applicationName = `lapse ${name} ${hostname()}/${process.pid}`;
  return `BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
    SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL application_name = ${pg.escapeLiteral(applicationName)};
    SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout';
    SELECT pg_try_advisory_xact_lock('${key}'::bigint) AS locked`;
}
