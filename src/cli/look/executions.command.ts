import type { Command } from 'commander';
import type { ExecutionDto, ListExecutionsQuery } from '../../executions/executions.dto.js';
import { ageOf, orDash } from './cells.js';
import { AGENT, addListCommand, PROJECT, TENANT } from './list-command.js';

const HELP = `
Those that wait, longest first, unless --status or --id is given. "For" is how long an execution has been suspended; of one
that is not, when it was changed last. An id can belong to executions of several tenants and projects: all are shown.

Examples:
  $ lapse executions --id exec_p9s0                        whose is it, and what became of it?
  $ lapse executions --overdue --longer-than 2h            what should have been timed out long ago
  $ lapse executions --tenant acme --user user_m3k1        what an end user waits for
  $ lapse executions --tool issue_refund --json | jq '.items[].pendingToolApproval.args'
`;

/** From this length on a list may have cut a text. */
const MAX_LISTED_CHARACTERS = 1_000;

export function addExecutionsCommand(lapse: Command): void {
  addListCommand<ListExecutionsQuery, ExecutionDto>(lapse, {
    name: 'executions',
    summary: 'list executions: what waits, for whom, and for how long',
    description: 'Lists executions of the watched table, by default those that wait for an approval.',
    help: HELP,
    filters: [
      { field: 'id', flags: '--id <id>', description: 'those with this id, in whichever tenant and project' },
      TENANT,
      PROJECT,
      AGENT,
      { field: 'conversationId', flags: '--conversation <id>', description: 'only those of this conversation' },
      { field: 'userId', flags: '--user <id>', description: "only those of this end user's conversations" },
      { field: 'toolName', flags: '--tool <name>', description: 'only those that wait for this tool' },
      { field: 'status', flags: '--status <status>', description: 'running, suspended, completed or failed' },
      { field: 'overdue', flags: '--overdue', description: 'only those that are overdue' },
      { field: 'overdue', flags: '--no-overdue', description: 'only those that wait and are not overdue yet' },
      {
        field: 'waitingLongerThan',
        flags: '--longer-than <duration>',
        description: 'only those suspended for longer, such as 90s, 30m or 2h',
      },
    ],
    load: async () => {
      const { ListExecutionsQuery } = await import('../../executions/executions.dto.js');
      const { ExecutionsService } = await import('../../executions/executions.service.js');
      const { ExecutionNotFoundError } = await import('../../executions/executions.errors.js');
      return {
        query: ListExecutionsQuery,
        service: ExecutionsService,
        whole: async (app, { scope }, item) => {
          if (!isPartial(item)) {
            return item;
          }
          const key = { tenantId: item.tenantId, projectId: item.projectId, executionId: item.id };
          return app
            .get(ExecutionsService, { strict: false })
            .get(scope, key)
            .catch((error: unknown) => {
              if (error instanceof ExecutionNotFoundError) {
                return item;
              }
              throw error;
            });
        },
      };
    },
    columns: ['Tenant', 'Project', { name: 'Execution', kept: true }, 'Tool', 'Status', 'For'],
    row: ({ tenantId, projectId, id, pendingToolApproval, status, overdue, suspendedSince, updatedAt }) => [
      tenantId,
      projectId,
      id,
      orDash(pendingToolApproval?.toolName),
      overdue ? 'overdue' : orDash(status),
      ageOf(suspendedSince ?? updatedAt),
    ],
    nothing: 'No such execution.',
  });
}

function isPartial({ pendingToolApproval, ...execution }: ExecutionDto): boolean {
  const texts = [
    ...[execution.agentId, execution.conversationId, execution.requestId],
    ...[pendingToolApproval?.toolCallId, pendingToolApproval?.toolName],
  ];
  return (
    pendingToolApproval?.argsOmitted === true || texts.some((text) => (text?.length ?? 0) >= MAX_LISTED_CHARACTERS)
  );
}
