import { ProblemError } from '../http/problem.error.js';

export class ExecutionNotFoundError extends ProblemError {
  constructor() {
    super({ status: 404, code: 'execution_not_found', detail: 'There is no such execution' });
  }
}

/** `userId` needs the host's table `conversations`, which is missing, is another table, or may not be read. */
export class ConversationsUnreadableError extends ProblemError {
  /** @param table its qualified name. */
  constructor(
    readonly table: string,
    override readonly cause: Error,
  ) {
    const columns = CONVERSATION_COLUMNS.join(', ');
    super({
      status: 503,
      code: 'conversations_unreadable',
      detail:
        "Filtering by userId needs the host's table of conversations, which can't be read as it is now; leave userId out, " +
        'or ask an operator to run "lapse doctor"',
      operatorDetail:
        `Filtering by userId needs ${table} (${columns}), which can't be read as it is now (${cause.message}); leave ` +
        `userId out, or let the owner of the table run: GRANT SELECT (${columns}) ON ${table} TO <the role of DATABASE_URL>;`,
      headers: { 'Retry-After': '60' },
      cause,
    });
  }
}

/** All that is read of a conversation. */
export const CONVERSATION_COLUMNS = ['tenant_id', 'project_id', 'id', 'user_id'];
