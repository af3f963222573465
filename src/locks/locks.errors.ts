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
    /** Undefined where it was all locks that were asked for. */
    readonly lockName: string | undefined,
    override readonly cause: unknown,
  ) {
    super(`${lockName === undefined ? 'Locks' : `The lock "${lockName}"`} can't be asked for: ${messageOf(cause)}`, {
      cause,
    });
    this.name = 'LockUnavailableError';
  }
}

/** The process is shutting down: no new work begins, and running work is told to stop. */
export class ShuttingDownError extends Error {
  constructor() {
    super('The process is shutting down');
    this.name = 'ShuttingDownError';
  }
}

/** `lockSignal()` was called by code that runs under no lock: its method lacks the decorator, or lost it. */
export class LockMissingError extends Error {
  constructor() {
    super('No lock is held here; call lockSignal() inside a method with @WithAdvisoryLock, or inside withLock()');
    this.name = 'LockMissingError';
  }
}

/** A lock is asked for in a way that can't be meant. */
export class LockOptionsInvalidError extends Error {
  constructor(
    readonly lockName: string,
    readonly because: string,
  ) {
    super(`The options of the lock "${lockName}" are wrong: ${because}`);
    this.name = 'LockOptionsInvalidError';
  }
}

/** `LocksModule.for` was given settings that lead to no database, or that don't tell its locks from others. Stops the boot. */
export class LockSettingsInvalidError extends Error {
  constructor(readonly faults: readonly string[]) {
    super(`LocksModule.for() can't use its settings: ${faults.join('; ')}`);
    this.name = 'LockSettingsInvalidError';
  }
}

/** Methods with the decorator that wouldn't do what they say. Stops the boot. */
export class LockedMethodsInvalidError extends Error {
  constructor(readonly faults: readonly string[]) {
    super(['@WithAdvisoryLock is used wrongly:', ...faults.map((fault) => `  - ${fault}`)].join('\n'));
    this.name = 'LockedMethodsInvalidError';
  }
}

/** The database doesn't keep advisory locks apart, or what lies before it doesn't. Stops the boot. */
export class LocksUnreliableError extends Error {
  constructor(
    /** Where the locks would be: host, port and database, without credentials. */
    readonly where: string,
    readonly because: string,
    cause?: unknown,
  ) {
    super(
      `Advisory locks don't work through ${where}: ${because}. They need PostgreSQL, directly or through a pooler in ` +
        'session or transaction mode, with two connections for it at least',
      { cause },
    );
    this.name = 'LocksUnreliableError';
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
