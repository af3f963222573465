import { type Duration, milliseconds } from '../config/duration.js';
import type { LockHolder } from './lock-holder.js';
import { LockOptionsInvalidError } from './locks.errors.js';

/** How a lock is taken and kept. */
export interface LockOptions {
  /** What is locked. One application, database, schema and name are one lock, whatever process asks. */
  name: string;
  /** `skip` gives up at once where somebody holds the lock; `wait` asks again until `waitFor` is over. */
  onBusy: 'skip' | 'wait';
  /** With `wait`: how long to go on asking. 5 seconds unless given. */
  waitFor?: Duration;
  /**
   * The lock is kept at least this long after it was taken, even when the work ends earlier, so that replicas whose
   * clocks differ by less meet it held and skip. Shutdown cuts it short.
   */
  atLeast?: Duration;
  /** After this long the work is told to stop and the lock is given up. Unlimited unless given. */
  atMost?: Duration;
  /** What it is counted as, where names are many: a lock per tenant is one thing to watch. The name unless given. */
  countAs?: string;
}

/** The outcome "somebody else holds it": a value, because it is expected. Told from any result by `instanceof`. */
export class LockBusy {
  constructor(
    readonly name: string,
    /** Undefined where it was released in between, is about to be taken, or couldn't be asked for. */
    readonly holder: LockHolder | undefined,
  ) {}
}

/** The durations of the options, in milliseconds. */
export interface LockLimits {
  waitFor: number;
  atLeast: number;
  atMost: number | undefined;
}

/** What a timer of Node.js can wait; one that is set for longer fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** @throws LockOptionsInvalidError */
export function limitsOf(options: LockOptions): LockLimits {
  const { name, onBusy } = options;
  if (name === '') {
    throw new LockOptionsInvalidError(name, 'name is empty');
  }
  const limits = {
    waitFor: onBusy === 'wait' ? inMilliseconds(options, 'waitFor', '5s') : 0,
    atLeast: inMilliseconds(options, 'atLeast', '0ms'),
    atMost: options.atMost === undefined ? undefined : inMilliseconds(options, 'atMost', options.atMost),
  };
  if (limits.atMost !== undefined && limits.atLeast > limits.atMost) {
    throw new LockOptionsInvalidError(name, `atLeast (${options.atLeast}) is longer than atMost (${options.atMost})`);
  }
  return limits;
}

function inMilliseconds(options: LockOptions, option: 'waitFor' | 'atLeast' | 'atMost', otherwise: Duration): number {
  const given = options[option] ?? otherwise;
  const ms = milliseconds(given);
  if (ms > LONGEST_MS) {
    throw new LockOptionsInvalidError(
      options.name,
      `${option} is ${given}; 24 days are the most that a timer can wait`,
    );
  }
  return ms;
}
