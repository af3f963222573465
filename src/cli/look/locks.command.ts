import type { Command } from 'commander';
import type { HeldLockDto } from '../../held-locks/held-locks.dto.js';
import { CommandRun } from '../command-run.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { listTable } from '../table.js';
import { orDash, timeOf } from './cells.js';
import { LOOK_EXIT_CODES, show, type ViewOptions } from './view.js';

const HELP = `
Longest held first. Times are in UTC. The lock "sweep" is the schedule's and that of sweeps of the whole platform. A holder
that hangs is ended in PostgreSQL: SELECT pg_terminate_backend(<pid>);

Example:
  $ lapse locks --json | jq '.items[] | select(.name == "sweep")'
`;

export function addLocksCommand(lapse: Command): void {
  lapse
    .command('locks')
    .summary('list the locks that are held now, and by whom')
    .description('Lists the advisory locks of Lapse that are held now, by whichever replica or other program.')
    .option('--json', 'one JSON document: {items, nextCursor}, the items as the API answers them')
    .addHelpText('after', `${HELP}${LOOK_EXIT_CODES}`)
    .action((options: ViewOptions) => CommandRun.toExit((run) => listLocks(run, options)));
}

async function listLocks(run: CommandRun, options: ViewOptions): Promise<ExitCode> {
  const { openApplication } = await import('../application.js');
  const { HeldLocksService } = await import('../../held-locks/held-locks.service.js');
  const locks = (await openApplication(run)).get(HeldLocksService, { strict: false });
  return show(run, 'locks', options, async () => {
    const document = await locks.list();
    const rows = document.items.map(rowOf);
    const text =
      rows.length === 0
        ? 'No lock is held.'
        : listTable(['Lock', 'Held since', 'By', 'From', { name: 'Pid', kept: true }], rows);
    return { document, text, exitCode: EXIT.done };
  });
}

function rowOf({ name, since, applicationName, clientAddress, pid }: HeldLockDto): string[] {
  return [
    name,
    timeOf(since),
    applicationName,
    orDash(clientAddress),
    pid === null ? 'prepared transaction' : String(pid),
  ];
}
