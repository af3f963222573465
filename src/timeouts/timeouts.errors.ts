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
