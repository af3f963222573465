import { AsyncLocalStorage } from 'node:async_hooks';

const signals = new AsyncLocalStorage<AbortSignal>();

/**
 * The signal of the lock under which the calling code runs. It aborts when the lock is lost or the process shuts down;
 * long work looks at it between its steps. Outside a lock it never aborts.
 */
export function lockSignal(): AbortSignal {
  return signals.getStore() ?? new AbortController().signal;
}

export function withLockSignal<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return signals.run(signal, work);
}
