import { Injectable } from '@nestjs/common';
import { LockConnections } from './lock-connections.js';
import { findHolder, findHolders, type LockHolder } from './lock-holder.js';

/** Asks PostgreSQL who holds which lock now, in whatever process. */
@Injectable()
export class LockHolders {
  constructor(private readonly connections: LockConnections) {}

  /**
   * Returns who holds the lock now, the longest holder first if several share it; undefined if nobody does.
   *
   * @throws LockUnavailableError
   */
  of(name: string): Promise<LockHolder | undefined> {
    return findHolder(this.connections, name);
  }

  /** @throws LockUnavailableError if the database that keeps the locks doesn't answer. */
  async check(): Promise<void> {
    await this.connections.query('SELECT', []);
  }

  /**
   * Returns every holder of a lock of this application and schema, the longest first.
   *
   * @param names of locks that may be taken. Those that `AdvisoryLockService` holds are found without; a lock that
   *   another program holds under any other name can't be recognized.
   * @throws LockUnavailableError
   */
  all(names: readonly string[] = []): Promise<LockHolder[]> {
    return findHolders(this.connections, [...new Set(names)]);
  }
}
