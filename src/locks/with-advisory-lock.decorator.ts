import { Inject } from '@nestjs/common';
import { AdvisoryLockService } from './advisory-lock.service.js';
import type { LockOptions } from './lock-options.js';

/** Each option is a value, or is worked out from the arguments of the call. */
type LockOptionsOf<A extends unknown[]> = {
  [K in keyof LockOptions]: LockOptions[K] | ((...args: A) => LockOptions[K]);
};

/** Where Nest puts the lock service of an instance whose class uses the decorator. */
const LOCKS = Symbol('advisory locks');

type WithLocks = { [LOCKS]: AdvisoryLockService };

/**
 * Runs the method under an advisory lock that all replicas share. Where the lock is busy the method doesn't run, and
 * the call resolves to `LockBusy`; so declare the method's result as `Promise<… | LockBusy>`.
 *
 * Inside, `lockSignal()` tells when to stop. Works above or below other decorators. Needs LocksModule: without it
 * Nest can't build the class, and the application doesn't start.
 */
export function WithAdvisoryLock<A extends unknown[]>(options: LockOptionsOf<A>) {
  return <R>(
    prototype: object,
    _key: string | symbol,
    descriptor: TypedPropertyDescriptor<(...args: A) => Promise<R>>,
  ): void => {
    const method = descriptor.value as (...args: A) => Promise<R>;
    Inject(AdvisoryLockService)(prototype, LOCKS);
    descriptor.value = looksLike(method, function (this: unknown, ...args: A) {
      const locks = (this as WithLocks)[LOCKS];
      return locks.withLock(workOut(options, args), () => method.apply(this, args)) as Promise<R>;
    });
  };
}

function workOut<A extends unknown[]>(options: LockOptionsOf<A>, args: A): LockOptions {
  const entries = Object.entries(options).map(([name, option]) => [
    name,
    typeof option === 'function' ? option(...args) : option,
  ]);
  return Object.fromEntries(entries) as LockOptions;
}

/** Decorators find what they need by name, length and metadata; the wrapper must show the method's own. */
function looksLike<F extends (...args: never[]) => unknown>(method: F, wrapper: F): F {
  Object.defineProperty(wrapper, 'name', { value: method.name, configurable: true });
  Object.defineProperty(wrapper, 'length', { value: method.length, configurable: true });
  for (const key of Reflect.getMetadataKeys(method)) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, method), wrapper);
  }
  return wrapper;
}
