import type { Command } from 'commander';
import { CommandRun } from '../command-run.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { show, type ViewOptions } from './view.js';

const HELP = `
"ok", "warn" (Lapse works, and something is to be known or done) and "FAIL" mean what they mean in "lapse doctor", which
looks closer at how Lapse is installed. docs/runbook.md says what to do at each symptom. Times are in UTC. What can't be
read just now says why, and the rest is shown.

Examples:
  $ lapse status --watch
  $ lapse status --json | jq -r .verdict

Exit codes:
  0    all is ok, or there are only warnings
  1    something says FAIL, such as a schedule that has stopped; or the database is away
  2    wrong usage or input
  130  interrupted by Ctrl-C (SIGINT), which also ends --watch; 143 by SIGTERM`;

interface Options extends ViewOptions {
  tenant?: string;
}

export function addStatusCommand(lapse: Command): void {
  lapse
    .command('status')
    .summary('see at a glance whether all is well')
    .description('Shows whether the schedule works, what waits, the last sweeps, and what needs a look.')
    .option('--tenant <id>', 'count only what is of this tenant; schedule, lock and guard are of the platform')
    .option('--json', 'one JSON document; docs/command-line.md describes it')
    .option('--watch', 'look again every five seconds, until Ctrl-C')
    .addHelpText('after', HELP)
    .action((options: Options) => CommandRun.toExit((run) => lookAtAll(run, options)));
}

async function lookAtAll(run: CommandRun, options: Options): Promise<ExitCode> {
  const { TenantOption } = await import('../tenant-option.js');
  const { checked } = await import('../options.js');
  const { tenantId } = await checked(TenantOption, { tenantId: options.tenant }, { tenantId: '--tenant' });
  const { openApplication } = await import('../application.js');
  const { cliCaller } = await import('../cli-caller.js');
  const { readConfiguration } = await import('../../config/configuration.js');
  const { guardReports, readStatus } = await import('./status.js');
  const { statusText } = await import('./status-text.js');
  const configuration = readConfiguration();
  const app = await openApplication(run);
  const guardReport = guardReports(app);
  return show(run, 'status', options, async () => {
    const document = await readStatus(app, configuration, cliCaller(undefined, tenantId), guardReport);
    return { document, text: statusText(document), exitCode: document.verdict === 'fail' ? EXIT.failed : EXIT.done };
  });
}
