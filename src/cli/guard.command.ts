import type { Command } from 'commander';
import type { GuardReport } from '../timeouts/late-approval-guard.state.js';
import { CommandRun } from './command-run.js';
import { EXIT, EXIT_CODES_HELP, type ExitCode } from './exit-codes.js';
import { printJson, printLine } from './output.js';

const HELP = `
The guard is a trigger on the watched table. It refuses (SQLSTATE LP001) to move an execution that Lapse timed out to any
other status, so that a late approval can't run the tool; all other updates pass. It is opt-in, because the table is the
host's: installing and removing it needs the rights of the table's owner, who owns the trigger's function. Lapse's own
role should not have them: --print prints the SQL for the owner, and touches nothing. It is one transaction for psql, which
ends with 3 if a statement fails; for another client, leave out the first line.

"install" and "status" try a late approval on one row, and roll it back. A table on which the guard can't hold is refused.

Examples:
  $ lapse guard install
  $ lapse guard install --print | psql "$OWNER_URL" && lapse guard status
${EXIT_CODES_HELP}`;

const STATES = {
  installed: 'The guard is installed',
  missing: 'The guard is not installed: a late approval brings a timed-out execution back, and is found afterwards',
  disabled: 'The guard is switched off: "lapse guard install" switches it on',
  outdated: 'The guard is outdated: "lapse guard install" brings it up to date',
  ineffective: 'The guard is installed, and does not hold',
} as const;

type Change = 'install' | 'remove';

interface GuardOptions {
  print?: true;
  json?: true;
}

export function addGuardCommand(lapse: Command): void {
  const guard = lapse
    .command('guard')
    .summary('keep late approvals from undoing a timeout')
    .description('Installs, removes and shows the late-approval guard.')
    .addHelpText('after', HELP)
    .helpCommand(false);
  for (const [change, summary, description] of [
    ['install', 'put the guard on the watched table', 'Puts the guard on the watched table, or brings it up to date.'],
    ['remove', 'remove the guard', 'Removes the guard from the watched table.'],
  ] as const) {
    guard
      .command(change)
      .summary(summary)
      .description(description)
      .option('--print', 'print the SQL, and touch nothing')
      .option('--json', 'one JSON document: {state}')
      .addHelpText('after', HELP)
      .action((options: GuardOptions) => CommandRun.toExit((run) => changeGuard(run, change, options)));
  }
  guard
    .command('status')
    .summary('show whether the guard holds; ends with 1 if it does not')
    .description('Tries a late approval, and rolls it back. Ends with 1 if the guard is missing or does not hold.')
    .option('--json', 'one JSON document: {state, tried, reason, exemptRoles}')
    .addHelpText('after', HELP)
    .action((options: GuardOptions) => CommandRun.toExit((run) => showGuard(run, options)));
}

async function changeGuard(run: CommandRun, change: Change, { print, json }: GuardOptions): Promise<ExitCode> {
  if (print) {
    printLine(await scriptOf(change));
    return EXIT.done;
  }
  const { openApplication } = await import('./application.js');
  const { cliCaller, onRecord } = await import('./cli-caller.js');
  const { LateApprovalGuard } = await import('../timeouts/late-approval-guard.service.js');
  const { asPsqlScript } = await import('../timeouts/late-approval-guard.sql.js');
  const { GuardNotPermittedError } = await import('../timeouts/timeouts.errors.js');
  const app = await openApplication(run);
  const guard = app.get(LateApprovalGuard, { strict: false });
  const caller = cliCaller(`guard.${change}`);
  await onRecord(app, caller, null, () => guard[change](caller)).catch((error: unknown) => {
    if (error instanceof GuardNotPermittedError && !json) {
      printLine(asPsqlScript(error.script));
    }
    throw error;
  });
  if (json) {
    printJson({ state: await guard.status() });
  } else {
    printReport(await guard.examine());
  }
  return EXIT.done;
}

async function showGuard(run: CommandRun, { json }: GuardOptions): Promise<ExitCode> {
  const { openApplication } = await import('./application.js');
  const { LateApprovalGuard } = await import('../timeouts/late-approval-guard.service.js');
  const app = await openApplication(run);
  const report = await app.get(LateApprovalGuard, { strict: false }).examine();
  if (json) {
    printJson(report);
  } else {
    printReport(report);
  }
  return report.state === 'installed' ? EXIT.done : EXIT.failed;
}

function printReport({ state, tried, reason, exemptRoles }: GuardReport): void {
  if (state === 'installed') {
    printLine(
      tried
        ? `${STATES.installed}: a late approval is refused (tried, and rolled back)`
        : `${STATES.installed}; not tried: ${reason}`,
    );
  } else {
    printLine(reason === null ? STATES[state] : `${STATES[state]}; ${reason}`);
  }
  if (exemptRoles.length > 0) {
    printLine(
      `Not for sessions of ${exemptRoles.join(', ')}, which fire no trigger (session_replication_role = replica)`,
    );
  }
}

/** Needs no database: what the SQL depends on is configured. */
async function scriptOf(change: Change): Promise<string> {
  const { readConfiguration } = await import('../config/configuration.js');
  const { asPsqlScript, asScript, installGuard, removeGuard } = await import('../timeouts/late-approval-guard.sql.js');
  const { schema, watchedSchema } = readConfiguration();
  const statements = { install: installGuard, remove: removeGuard }[change];
  return asPsqlScript(asScript(statements({ watched: `"${watchedSchema}"`, lapse: `"${schema}"` }))).trimEnd();
}
