import { Injectable } from '@nestjs/common';
import { Semaphore, withTimeout } from 'async-mutex';
import { LocalQueue } from '../locks/local-queue.js';
import { LockBusy } from '../locks/lock-options.js';
import { TooManySweepsError } from './sweeps.errors.js';

/** Requested sweeps and undos that one replica runs at once. The schedule is not among them. */
const MAX_REQUESTED = 3;
const WAIT_TIMEOUT_MS = 5_000;

/**
 * Where requested sweeps and undos wait before they use any connection. Those of one lock wait behind each other, so that
 * one tenant can't take all places.
 */
@Injectable()
export class RequestedSweeps {
  private readonly byLock = new LocalQueue();
  private readonly places = withTimeout(
    new Semaphore(MAX_REQUESTED),
    WAIT_TIMEOUT_MS,
    new TooManySweepsError(MAX_REQUESTED),
  );

  /**
   * Runs `run` when it has a place.
   *
   * @returns LockBusy if a sweep of the same lock is still running here after five seconds.
   * @throws TooManySweepsError if no place becomes free within five seconds, and what `run` throws.
   */
  async enter<T>(lockName: string, run: () => Promise<T | LockBusy>): Promise<T | LockBusy> {
    const leave = await this.byLock.enter(lockName, WAIT_TIMEOUT_MS);
    if (!leave) {
      return new LockBusy(lockName, undefined);
    }
    try {
      return await this.places.runExclusive(run);
    } finally {
      leave();
    }
  }
}
