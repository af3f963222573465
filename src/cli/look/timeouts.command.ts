import type { Command } from 'commander';
import type { ListTimeoutsQuery, TimeoutDto } from '../../timeouts/timeouts.dto.js';
import { orDash, timeOf } from './cells.js';
import { AGENT, addListCommand, PROJECT, TENANT } from './list-command.js';

const HELP = `
Newest first. Times are in UTC. "Since" is what became of the execution after its timeout: reopened by an operator, or seen
to have come back by itself, as after a late approval.

Examples:
  $ lapse timeouts --from 2026-11-22T00:00:00Z --to 2026-11-22T06:00:00Z
  $ lapse timeouts --execution exec_p9s0        every time that it was timed out
  $ lapse timeouts --resurrected                late approvals that came through
`;

export function addTimeoutsCommand(lapse: Command): void {
  addListCommand<ListTimeoutsQuery, TimeoutDto>(lapse, {
    name: 'timeouts',
    summary: 'list what was timed out',
    description: 'Lists the ledger: every execution that was timed out, newest first.',
    help: HELP,
    filters: [
      TENANT,
      PROJECT,
      AGENT,
      { field: 'executionId', flags: '--execution <id>', description: 'only those of executions with this id' },
      { field: 'toolName', flags: '--tool <name>', description: 'only those that waited for this tool' },
      { field: 'resurrected', flags: '--resurrected', description: 'only those that came back by themselves' },
      { field: 'resurrected', flags: '--no-resurrected', description: 'only those that did not' },
      { field: 'from', flags: '--from <time>', description: 'timed out at this time or later' },
      { field: 'to', flags: '--to <time>', description: 'timed out before this time' },
    ],
    load: async () => {
      const { ListTimeoutsQuery } = await import('../../timeouts/timeouts.dto.js');
      const { TimeoutsService } = await import('../../timeouts/timeouts.service.js');
      return {
        query: ListTimeoutsQuery,
        service: TimeoutsService,
      };
    },
    columns: ['Timed out', 'Tenant', 'Project', { name: 'Execution', kept: true }, 'Tool', 'Since'],
    row: ({ timedOutAt, tenantId, projectId, executionId, toolName, reopenedAt, resurrectedAt, resurrectedStatus }) => [
      timeOf(timedOutAt),
      tenantId,
      projectId,
      executionId,
      orDash(toolName),
      reopenedAt !== null ? 'reopened' : resurrectedAt !== null ? `seen ${orDash(resurrectedStatus)}` : '-',
    ],
    nothing: 'No such timeout.',
  });
}
