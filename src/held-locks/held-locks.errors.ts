import { ProblemError } from '../http/problem.error.js';

/** The database that keeps the locks doesn't answer. */
export class LocksUnavailableError extends ProblemError {
  constructor(cause: unknown) {
    super({
      status: 503,
      code: 'locks_unavailable',
      detail: 'The database that keeps the locks does not answer at the moment; try again',
      headers: { 'Retry-After': '5' },
      cause,
    });
  }
}
