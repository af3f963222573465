import type { Command } from 'commander';
import type { BacklogDto } from '../../executions/backlog.dto.js';
import { CommandRun } from '../command-run.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { listTable, propertyTable } from '../table.js';
import { ageOf, timeOf } from './cells.js';
import { LOOK_EXIT_CODES, show, type ViewOptions } from './view.js';

const HELP = `
Times are in UTC. Beyond 100,000 executions the numbers are estimates from a sample.

Examples:
  $ lapse backlog --watch
  $ lapse backlog --tenant acme --json | jq .overdue
`;

interface Options extends ViewOptions {
  tenant?: string;
}

export function addBacklogCommand(lapse: Command): void {
  lapse
    .command('backlog')
    .summary('count what waits, by tenant and by age')
    .description('Counts what waits for an approval, what of it is overdue, by tenant and by age.')
    .option('--tenant <id>', 'only what waits in this tenant')
    .option('--json', 'one JSON document: the Backlog as the API answers it')
    .option('--watch', 'look again every five seconds, until Ctrl-C')
    .addHelpText('after', `${HELP}${LOOK_EXIT_CODES}`)
    .action((options: Options) => CommandRun.toExit((run) => countBacklog(run, options)));
}

async function countBacklog(run: CommandRun, options: Options): Promise<ExitCode> {
  const { BacklogQuery } = await import('../../executions/backlog.dto.js');
  const { checked } = await import('../options.js');
  const { tenantId } = await checked(BacklogQuery, { tenantId: options.tenant }, { tenantId: '--tenant' });
  const { openApplication } = await import('../application.js');
  const { cliCaller } = await import('../cli-caller.js');
  const { BacklogService } = await import('../../executions/backlog.service.js');
  const backlog = (await openApplication(run)).get(BacklogService, { strict: false });
  const { scope } = cliCaller(undefined, tenantId);
  return show(run, 'backlog', options, async () => {
    const document = await backlog.get(scope);
    return { document, text: textOf(document), exitCode: EXIT.done };
  });
}

function textOf(backlog: BacklogDto): string {
  if (backlog.suspended === 0) {
    return 'Nothing waits.';
  }
  const { approximate, suspended, overdue, oldestSuspendedSince, nextDeadline, byTenant, otherTenants, ages } = backlog;
  const about = (count: number) => (approximate ? `about ${count}` : String(count));
  const tenants = byTenant.map((tenant) => [tenant.tenantId, about(tenant.suspended), about(tenant.overdue)]);
  if (otherTenants.tenants > 0) {
    const { suspended: others, overdue: late } = otherTenants;
    tenants.push([`and ${about(otherTenants.tenants)} others`, about(others), about(late)]);
  }
  return [
    propertyTable([
      ['Waiting', about(suspended)],
      ['Overdue', about(overdue)],
      ['Oldest', `${ageOf(oldestSuspendedSince)}, since ${timeOf(oldestSuspendedSince)}`],
      ['Next deadline', timeOf(nextDeadline)],
    ]),
    listTable([{ name: 'Tenant', kept: true }, 'Waiting', 'Overdue'], tenants),
    listTable(
      ['Waiting for', 'Executions'],
      ages.map((age, at) => [
        age.upTo === null ? `over ${ages[at - 1]?.upTo}` : `up to ${age.upTo}`,
        about(age.suspended),
      ]),
    ),
  ].join('\n');
}
