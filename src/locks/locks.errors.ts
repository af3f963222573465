/** The lock was held and is no longer: the connection ended, didn't answer in time, or `atMost` passed. */
export class LockLostError extends Error {
  constructor(
    readonly lockName: string,
    readonly because: string,
    cause?: unknown,
  ) {
    super(`The lock "${lockName}" was lost: ${because}`, { cause });
    this.name = 'LockLostError';
  }
}

/** Whether anybody holds the lock is unknown: the database that keeps the locks can't be asked. */
export class LockUnavailableError extends Error {
  constructor(
    readonly lockName: string,
    override readonly cause: unknown,
  ) {
    super(`The lock "${lockName}" can't be taken: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
    this.name = 'LockUnavailableError';
  }
}

/** The process is shutting down: no new work begins, and running work is told to stop. */
export class ShuttingDownError extends Error {
  constructor() {
    super('Lapse is shutting down');
    this.name = 'ShuttingDownError';
  }
}
