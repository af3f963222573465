import type { Command } from 'commander';
import type { FailureDto, ListFailuresQuery } from '../../sweeps/failures.dto.js';
import { timeOf } from './cells.js';
import { addListCommand, PROJECT, TENANT } from './list-command.js';

const HELP = `
Longest failing first. Times are in UTC. No sweep touches an execution before its next try; the pause doubles from one
minute to an hour.

Examples:
  $ lapse failures --tenant acme
  $ lapse failures --json | jq -r '.items[].lastReason' | sort | uniq -c
`;

export function addFailuresCommand(lapse: Command): void {
  addListCommand<ListFailuresQuery, FailureDto>(lapse, {
    name: 'failures',
    summary: 'list what could not be timed out, and why',
    description: 'Lists executions that are overdue and could not be timed out, with the reason and the next try.',
    help: HELP,
    filters: [
      TENANT,
      PROJECT,
      { field: 'sweepId', flags: '--sweep <id>', description: 'only those that this sweep was the last to try' },
    ],
    load: async () => {
      const { ListFailuresQuery } = await import('../../sweeps/failures.dto.js');
      const { FailuresService } = await import('../../sweeps/failures.service.js');
      return {
        query: ListFailuresQuery,
        service: FailuresService,
      };
    },
    columns: ['Tenant', 'Project', { name: 'Execution', kept: true }, 'Tries', 'Next try', 'Why'],
    row: ({ tenantId, projectId, executionId, attempts, nextTryAt, lastReason }) => [
      tenantId,
      projectId,
      executionId,
      String(attempts),
      timeOf(nextTryAt),
      lastReason,
    ],
    nothing: 'Nothing fails.',
    note: 'Each is tried again by itself at its next try. Remove the cause; there is nothing to restart.',
  });
}
