import type { PoolClient } from 'pg';
import { LockLostError } from './locks.errors.js';

const HEARTBEAT_MS = 5_000;
const ANSWER_WITHIN_MS = 5_000;

/**
 * A lock that this process holds: a transaction on a connection of its own that has taken
 * pg_try_advisory_xact_lock() and stays open. The lock ends when the transaction does, however it ends.
 */
export class HeldLock {
  private readonly controller = new AbortController();
  private readonly heartbeat: NodeJS.Timeout;
  private readonly limit: NodeJS.Timeout | undefined;
  private lost = false;

  constructor(
    private readonly name: string,
    private readonly connection: PoolClient,
    atMostMs: number | undefined,
  ) {
    connection.on('error', this.onConnectionError);
    this.heartbeat = setInterval(() => void this.beat(), HEARTBEAT_MS);
    if (atMostMs !== undefined) {
      this.limit = setTimeout(() => this.lose(`it was held for longer than ${atMostMs} ms`), atMostMs);
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

  async release(): Promise<void> {
    if (this.lost) {
      return;
    }
    this.forget();
    try {
      await this.connection.query('COMMIT');
      this.connection.release();
    } catch (error) {
      this.connection.release(asError(error));
    }
  }

  /** A simple query: one with parameters would leave a portal open, and with it a snapshot that holds back vacuum. */
  private async beat(): Promise<void> {
    const overdue = setTimeout(() => this.lose('its connection no longer answers'), ANSWER_WITHIN_MS);
    try {
      await this.connection.query('SELECT');
    } catch (error) {
      this.onConnectionError(error);
    } finally {
      clearTimeout(overdue);
    }
  }

  private readonly onConnectionError = (error: unknown): void => {
    this.lose(`its connection broke (${asError(error).message})`, error);
  };

  private lose(because: string, cause?: unknown): void {
    if (this.lost) {
      return;
    }
    this.lost = true;
    this.forget();
    // Destroyed, not returned to the pool: where the server still sees it, its end frees the lock there too.
    this.connection.release(true);
    this.controller.abort(new LockLostError(this.name, because, cause));
  }

  private forget(): void {
    clearInterval(this.heartbeat);
    clearTimeout(this.limit);
    this.connection.off('error', this.onConnectionError);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
