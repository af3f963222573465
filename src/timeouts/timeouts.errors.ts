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

/** The database role may not put a trigger on the host's table, or take it away; `script` is for somebody who may. */
export class GuardNotPermittedError extends Error {
  constructor(
    readonly what: 'install' | 'remove',
    readonly right: string,
    readonly script: string,
    override readonly cause: unknown,
  ) {
    super(
      `The database role may not ${what} the guard: it lacks ${right}. Grant it, or have somebody who may run the SQL ` +
        `that "lapse guard ${what} --print" prints`,
      { cause },
    );
    this.name = 'GuardNotPermittedError';
  }
}

/** Others held the watched table each time that the guard tried to change its triggers. */
export class WatchedTableBusyError extends Error {
  constructor(
    readonly table: string,
    override readonly cause: unknown,
  ) {
    super(
      `${table} was in use whenever its triggers were to be changed; try again when no long transaction writes to it`,
      { cause },
    );
    this.name = 'WatchedTableBusyError';
  }
}
