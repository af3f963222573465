import { ProblemError } from '../http/problem.error.js';

export class TimeoutNotFoundError extends ProblemError {
  constructor() {
    super({ status: 404, code: 'timeout_not_found', detail: 'There is no such timeout' });
  }
}

/** The watched table refused the update; the reason is the database's own. */
export class ReopenRefusedError extends ProblemError {
  constructor(
    readonly reason: string,
    cause: unknown,
  ) {
    const detail = `The execution can't be reopened: ${reason}`;
    super({ status: 409, code: 'reopen_refused', detail, cause });
  }
}

/** What the sweep did can't be taken back, or not yet. */
export class SweepNotUndoableError extends ProblemError {
  constructor(readonly reason: string) {
    super({ status: 409, code: 'sweep_not_undoable', detail: `The sweep can't be undone: ${reason}` });
  }
}

/** The database role may not put a trigger on the host's table, or remove it; `script` is for the table's owner. */
export class GuardNotPermittedError extends Error {
  constructor(
    readonly what: 'install' | 'remove',
    readonly right: string,
    readonly script: string,
    cause?: unknown,
  ) {
    super(
      `The database role may not ${what} the guard: it lacks ${right}. As the owner of the table, or as a superuser, run: ` +
        `lapse guard ${what} --print | psql "$OWNER_URL"`,
      { cause },
    );
    this.name = 'GuardNotPermittedError';
  }
}

/** A guard on this table would let a late approval pass, so it was not installed. */
export class GuardIneffectiveError extends Error {
  constructor(
    readonly table: string,
    readonly reason: string,
  ) {
    super(`The guard was not installed, because it would not hold on ${table}: ${reason}`);
    this.name = 'GuardIneffectiveError';
  }
}

/** Other sessions held the watched table at each attempt to change its triggers. */
export class WatchedTableBusyError extends Error {
  constructor(
    readonly table: string,
    override readonly cause: unknown,
  ) {
    super(
      `${table} was in use at each attempt to change its triggers; try again when no long transaction writes to it`,
      { cause },
    );
    this.name = 'WatchedTableBusyError';
  }
}
