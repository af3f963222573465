import { Inject } from '@nestjs/common';
import { AdvisoryLockService } from './advisory-lock.service.js';
import { type LockOptions, limitsOf } from './lock-options.js';
import { LockedMethodsInvalidError } from './locks.errors.js';

/** Each option is a value, or is worked out from the arguments of the call. */
type LockOptionsOf<A extends unknown[]> = {
  [K in keyof Omit<LockOptions, 'countAs'>]: LockOptions[K] | ((...args: A) => LockOptions[K]);
};

/** Where Nest puts the lock service of an instance whose class uses the decorator. */
export const LOCKS = Symbol('advisory locks');

/** What the decorator leaves on a method for the check at boot: its lock's name, or null where arguments make it. */
export const LOCK_NAME = 'advisory-lock:name';

/**
 * Runs the method under an advisory lock that all replicas share. Where the lock is busy the method doesn't run, and
 * the call resolves to `LockBusy`; so declare the method's result as `Promise<… | LockBusy>` where a caller looks at it.
 *
 * Inside, `lockSignal()` tells when to stop. Works above or below other decorators. Needs LocksModule: without it
 * Nest can't build the class, and the application doesn't start.
 *
 * @throws LockOptionsInvalidError when the class is defined; where an option is a function, when the method is called.
 */
export function WithAdvisoryLock<A extends unknown[]>(options: LockOptionsOf<A>) {
  if (!Object.values(options).some((option) => typeof option === 'function')) {
    limitsOf(options as LockOptions);
  }
  return <R>(
    prototype: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<(...args: A) => Promise<R>>,
  ): void => {
    const method = descriptor.value as (...args: A) => Promise<R>;
    const place = `${prototype.constructor.name}.${String(key)}`;
    const countAs = typeof options.name === 'string' ? options.name : place;
    Inject(AdvisoryLockService)(prototype, LOCKS);
    descriptor.value = looksLike(method, async function (this: { [LOCKS]?: AdvisoryLockService }, ...args: A) {
      const locks = this[LOCKS];
      if (!locks) {
        throw new LockedMethodsInvalidError([notInjected(place)]);
      }
      return locks.withLock({ ...workOut(options, args), countAs }, () => method.apply(this, args)) as Promise<R>;
    });
    Reflect.defineMetadata(LOCK_NAME, typeof options.name === 'string' ? options.name : null, descriptor.value);
  };
}

export function notInjected(place: string): string {
  return `${place} has no lock service: let Nest build its class, rather than a factory, useValue or new`;
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
