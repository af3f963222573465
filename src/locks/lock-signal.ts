import { AsyncLocalStorage } from 'node:async_hooks';
import { LockMissingError } from './locks.errors.js';

const signals = new AsyncLocalStorage<AbortSignal>();

/**
 * The signal of the lock under which the calling code runs. It aborts with LockLostError when the lock is lost, and
 * with ShuttingDownError when the process is to end; long work looks at it between its steps.
 *
 * @throws LockMissingError outside a lock, so that work which must not run without one doesn't.
 */
export function lockSignal(): AbortSignal {
  const signal = signals.getStore();
  if (!signal) {
    throw new LockMissingError();
  }
  return signal;
}

export function withLockSignal<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return signals.run(signal, work);
}
