import type { Command } from 'commander';
import type { SweepDto } from '../../sweeps/sweep-answer.js';
import type { ListSweepsQuery } from '../../sweeps/sweeps.dto.js';
import type { Column } from '../table.js';
import { timeOf } from './cells.js';
import { addListCommand, TENANT } from './list-command.js';

const HELP = `
Newest first, undos too. Times are in UTC. Scheduled sweeps that found nothing are kept for a day.

Examples:
  $ lapse sweeps --watch                        is anything swept now?
  $ lapse sweeps --trigger schedule --limit 5   how the last ticks ended
  $ lapse sweeps --from 2026-11-24T22:00:00Z --to 2026-11-25T06:00:00Z --min-timed-out 1
                                                what timed executions out that night
  $ lapse sweeps --status failed --json | jq -r '.items[].error'
`;

export const SWEEP_COLUMNS: readonly Column[] = [
  { name: 'Sweep', kept: true },
  'Started',
  'Trigger',
  'Timed out',
  'Status',
];

export function addSweepsCommand(lapse: Command): void {
  addListCommand<ListSweepsQuery, SweepDto>(lapse, {
    name: 'sweeps',
    summary: 'list sweeps and undos, and how they ended',
    description: 'Lists sweeps and undos, newest first.',
    help: HELP,
    filters: [
      TENANT,
      { field: 'trigger', flags: '--trigger <trigger>', description: 'schedule, api, cron or cli' },
      {
        field: 'status',
        flags: '--status <status>',
        description: 'running, succeeded, partial, failed, cancelled or interrupted',
      },
      { field: 'kind', flags: '--kind <kind>', description: 'timeout or undo' },
      { field: 'from', flags: '--from <time>', description: 'started at this time or later' },
      { field: 'to', flags: '--to <time>', description: 'started before this time' },
      {
        field: 'minTimedOut',
        flags: '--min-timed-out <n>',
        description: 'at least so many timed out; with --tenant, so many of the tenant',
      },
    ],
    watch: true,
    load: async () => {
      const { ListSweepsQuery } = await import('../../sweeps/sweeps.dto.js');
      const { SweepsService } = await import('../../sweeps/sweeps.service.js');
      return {
        query: ListSweepsQuery,
        service: SweepsService,
      };
    },
    columns: SWEEP_COLUMNS,
    row: sweepRow,
    nothing: 'No such sweep.',
  });
}

export function sweepRow({ id, startedAt, trigger, scope, kind, dryRun, counts, undone, status }: SweepDto): string[] {
  return [
    id,
    timeOf(startedAt),
    scope.tenantId === null ? trigger : `${trigger}, tenant ${scope.tenantId}`,
    kind === 'undo' ? `${undone?.reopened ?? 0} reopened` : `${counts.timedOut}${dryRun ? ' (dry run)' : ''}`,
    counts.failed > 0 ? `${status}, ${counts.failed} failed` : status,
  ];
}
