import { ProblemError } from '../http/problem.error.js';

/** There is no such conversation, or it is somebody else's: which of the two is not said. */
export class ConversationNotFoundError extends ProblemError {
  constructor() {
    super({ status: 404, code: 'conversation_not_found', detail: 'There is no such conversation' });
  }
}
