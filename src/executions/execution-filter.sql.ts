import { equalities } from '../database/sql-conditions.js';
import type { SqlParameters } from '../database/sql-parameters.js';
import { pendingToolName } from './tool-approval.sql.js';
import type { WatchedTable } from './watched-table.js';

/** Which executions a list has; what is undefined doesn't matter. */
export interface ExecutionFilter {
  /** Then the list is in the order of tenant and project. */
  id: string | undefined;
  projectId: string | undefined;
  agentId: string | undefined;
  conversationId: string | undefined;
  /** The end user of the conversation. */
  userId: string | undefined;
  toolName: string | undefined;
  status: string | undefined;
  overdue: boolean | undefined;
  /** Suspended for longer than this. */
  waitingSeconds: number | undefined;
  timeoutSeconds: number;
}

/** SQL: all conditions of the filter on a row `e`, apart from its id. */
export function matchesFilter(watched: WatchedTable, filter: ExecutionFilter, parameters: SqlParameters): string[] {
  return [...matchesStatus(watched, filter, parameters), ...matchesRow(watched, filter, parameters)];
}

/** SQL: those conditions that the index in the order of suspension serves. */
export function matchesStatus(
  watched: WatchedTable,
  { status, overdue, waitingSeconds, timeoutSeconds }: ExecutionFilter,
  parameters: SqlParameters,
): string[] {
  const now = 'statement_timestamp()';
  const conditions = equalities({ status }, parameters);
  if (overdue !== undefined) {
    const timeout = parameters.add(timeoutSeconds);
    conditions.push(watched[overdue ? 'isOverdue' : 'isWaiting']('e', now, timeout));
  }
  if (waitingSeconds !== undefined) {
    conditions.push(watched.isOverdue('e', now, parameters.add(waitingSeconds)));
  }
  return conditions;
}

/** SQL: those conditions that are checked row by row. */
export function matchesRow(
  watched: WatchedTable,
  { projectId, agentId, conversationId, userId, toolName }: ExecutionFilter,
  parameters: SqlParameters,
): string[] {
  return [
    ...equalities({ project_id: projectId, agent_id: agentId, conversation_id: conversationId }, parameters),
    ...(userId === undefined ? [] : [`${userOfConversation(watched)} = ${parameters.add(userId)}`]),
    ...(toolName === undefined ? [] : [`${pendingToolName('e.metadata')} = ${parameters.add(toolName)}`]),
  ];
}

/** SQL: the host's table of conversations. */
export function conversationsOf({ schema }: WatchedTable): string {
  return `"${schema}".conversations`;
}

/**
 * SQL: the end user of the execution's own conversation; another tenant can have a conversation with the same id. It is a
 * subquery for each row that is looked at, because for a join the planner would read all conversations. Its order leaves
 * no index but the key's: see `WatchedTable.byKeyOf`.
 */
function userOfConversation(watched: WatchedTable): string {
  return `(SELECT c.user_id FROM (
             SELECT c.id, c.user_id FROM ${conversationsOf(watched)} c
              WHERE c.tenant_id = e.tenant_id AND c.project_id = e.project_id AND c.id >= e.conversation_id
              ORDER BY c.id LIMIT 1) c
            WHERE c.id = e.conversation_id)`;
}
