import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Pool, type PoolClient, type PoolConfig, type QueryResult } from 'pg';
import { advisoryLockKey } from './advisory-lock-key.js';
import { HeldLock } from './held-lock.js';
import { assertUsable, LockSettings } from './lock-settings.js';
import { heartbeatSql, type LockLabel, takeLockSql } from './lock-statements.js';
import { LockUnavailableError } from './locks.errors.js';

/** Also what a holder waits for its heartbeat: together with the pause between two, a dead connection is told in 10 s. */
const ANSWER_WITHIN_MS = 5_000;
/** Longer than the usual interval of a schedule, so that a tick needn't connect anew. */
const IDLE_CONNECTION_MS = 150_000;
const MOST_CONNECTIONS = 50;

/** The connections on which locks are held and asked for: one for each lock, outside the application's own pool. */
@Injectable()
export class LockConnections implements OnApplicationShutdown {
  private readonly logger = new Logger('Locks');
  private readonly pool: Pool;
  private databaseName: string | undefined;
  private ending = false;
  private readonly connectedAt = new WeakMap<PoolClient, number>();
  /** Connections from before this moment are not used any more: after one gave no answer, the others are likely to give none. */
  private distrustedBefore = 0;

  /** @throws LockSettingsInvalidError */
  constructor(readonly settings: LockSettings) {
    assertUsable(settings);
    const options: PoolConfig = {
      application_name: `${settings.application}-locks`,
      max: MOST_CONNECTIONS,
      idleTimeoutMillis: IDLE_CONNECTION_MS,
      connectionTimeoutMillis: ANSWER_WITHIN_MS,
      query_timeout: ANSWER_WITHIN_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: 5_000,
    };
    this.pool = settings.createPool?.(options) ?? new Pool({ connectionString: settings.databaseUrl, ...options });
    this.pool.on('error', (error) => {
      if (!this.ending) {
        this.logger.warn(`An idle lock connection ended: ${error.message}`);
      }
    });
    // A connection that breaks while it is checked out says so to its query and to this event; without a listener the
    // event would end the process.
    this.pool.on('connect', (connection) => {
      this.connectedAt.set(connection, performance.now());
      connection.on('error', () => undefined);
    });
  }

  /**
   * Tries once to take the lock, for `atMostMs` unless it is left out; undefined where somebody else holds it.
   *
   * @throws LockUnavailableError
   */
  async tryToTake(name: string, atMostMs?: number): Promise<HeldLock | undefined> {
    const label: LockLabel = { application: this.settings.application, schema: this.settings.schema, name };
    const key = await this.keyOf(name);
    const connection = await unlessUnavailable(name, this.connect());
    try {
      // Of several statements in one text, pg answers with a list, which its types don't tell.
      const answers = await connection.query(takeLockSql(label, key));
      if ((answers as unknown as QueryResult[]).at(-1)?.rows[0]?.locked) {
        return new HeldLock(name, connection, heartbeatSql(label), atMostMs);
      }
      await connection.query('ROLLBACK');
      connection.release();
      return undefined;
    } catch (error) {
      throw this.giveUp(connection, name, error);
    }
  }

  /** @throws LockUnavailableError */
  async query<R extends object>(sql: string, parameters: unknown[], about?: string): Promise<R[]> {
    const connection = await unlessUnavailable(about, this.connect());
    try {
      const { rows } = await connection.query<R>(sql, parameters);
      connection.release();
      return rows;
    } catch (error) {
      throw this.giveUp(connection, about, error);
    }
  }

  private giveUp(connection: PoolClient, lockName: string | undefined, error: unknown): LockUnavailableError {
    this.distrustedBefore = performance.now();
    connection.release(true);
    return new LockUnavailableError(lockName, error);
  }

  private async connect(): Promise<PoolClient> {
    for (;;) {
      const connection = await this.pool.connect();
      if ((this.connectedAt.get(connection) ?? 0) >= this.distrustedBefore) {
        return connection;
      }
      connection.release(true);
    }
  }

  async keyOf(name: string): Promise<string> {
    if (this.databaseName === undefined) {
      const [found] = await this.query<{ name: string }>('SELECT current_database() AS name', [], name);
      this.databaseName = found?.name as string;
    }
    const { application, schema } = this.settings;
    return advisoryLockKey({ application, database: this.databaseName, schema, name });
  }

  async onApplicationShutdown(): Promise<void> {
    this.ending = true;
    await this.pool.end();
  }
}

async function unlessUnavailable<T>(lockName: string | undefined, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw new LockUnavailableError(lockName, error);
  }
}
