import type { PoolClient } from 'pg';
import { LockLostError } from './locks.errors.js';

const HEARTBEAT_MS = 5_000;

/**
 * After so long without an answered heartbeat the holder gives up. Shorter than the server's own timeout, so that a
 * process which was frozen stops its work when it wakes, before it hears from the server.
 */
const HEARTBEAT_TIMEOUT_MS = 15_000;

/**
 * A lock that this process holds: a transaction on a connection of its own that has taken
 * pg_try_advisory_xact_lock() and stays open. The lock ends when the transaction does, however it ends.
 */
export class HeldLock {
  private readonly controller = new AbortController();
  private readonly heartbeat: NodeJS.Timeout;
  private readonly limit: NodeJS.Timeout | undefined;
  private held = true;
  private answeredAt = performance.now();

  constructor(
    private readonly name: string,
    private readonly connection: PoolClient,
    private readonly heartbeatSql: string,
    atMostMs: number | undefined,
  ) {
    connection.on('error', this.onConnectionError);
    this.heartbeat = setInterval(() => void this.beat(), HEARTBEAT_MS);
    if (atMostMs !== undefined) {
      this.limit = setTimeout(() => this.lose(`it was held for ${atMostMs} ms, as long as it may be`), atMostMs);
    }
  }

  /** Aborts with LockLostError when the lock is lost, or with whatever `stop` was given. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Tells the work to stop. The lock stays held until it is released. */
  stop(reason: Error): void {
    this.controller.abort(reason);
  }

  /** Gives the lock back; where that can't be said to the server, its connection is destroyed, which frees it too. */
  async release(): Promise<void> {
    if (!this.held) {
      return;
    }
    this.end();
    try {
      await this.connection.query('COMMIT');
      this.connection.release();
    } catch {
      this.connection.release(true);
    }
  }

  /** Gives the lock up while its work may still run, and tells the work so. */
  lose(because: string, cause?: unknown): void {
    if (!this.held) {
      return;
    }
    this.end();
    // Destroyed, not returned to the pool: where the server still sees it, its end frees the lock there too.
    this.connection.release(true);
    this.controller.abort(new LockLostError(this.name, because, cause));
  }

  /** A query that isn't answered in time fails, by the timeout that every query of these connections has. */
  private async beat(): Promise<void> {
    const silentMs = Math.round(performance.now() - this.answeredAt);
    if (silentMs > HEARTBEAT_TIMEOUT_MS) {
      this.lose(`no heartbeat for ${silentMs} ms: the process was frozen, or too busy to send one`);
      return;
    }
    try {
      await this.connection.query(this.heartbeatSql);
      this.answeredAt = performance.now();
    } catch (error) {
      this.onConnectionError(error as Error);
    }
  }

  private readonly onConnectionError = (error: Error): void => {
    this.lose(`its connection no longer works (${error.message})`, error);
  };

  private end(): void {
    this.held = false;
    clearInterval(this.heartbeat);
    clearTimeout(this.limit);
    this.connection.off('error', this.onConnectionError);
  }
}
