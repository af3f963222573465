import type { Duration } from '../config/duration.js';

/** How a lock is taken and kept. */
export interface LockOptions {
  /** What is locked. One database, schema and name are one lock, whatever process asks. */
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
}

/** Who holds a lock, as PostgreSQL tells it. */
export interface LockHolder {
  /** The holder's application name: what it holds, on which machine, in which process. */
  applicationName: string;
  /** Since when, to the microsecond cut to milliseconds. Null where the role may not see other roles' sessions. */
  since: Date | null;
}

/** The outcome "somebody else holds it": a value, because it is expected. Told from any result by `instanceof`. */
export class LockBusy {
  constructor(
    readonly name: string,
    /** Undefined where it was released in between, or is held by this very process. */
    readonly holder: LockHolder | undefined,
  ) {}
}
