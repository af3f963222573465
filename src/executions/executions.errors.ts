import { ProblemError } from '../http/problem.error.js';

export class ExecutionNotFoundError extends ProblemError {
  constructor() {
    super({ status: 404, code: 'execution_not_found', detail: 'There is no such execution' });
  }
}
