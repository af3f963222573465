import type { Command } from 'commander';
import { CommandRun } from './command-run.js';
import { EXIT, EXIT_CODES_HELP, type ExitCode } from './exit-codes.js';
import { printJson, printLine } from './output.js';

const HELP = `
The guard is a trigger on the watched table. It refuses (SQLSTATE LP001) to move an execution that Lapse timed out to any
other status, so that a button pressed too late can't run the tool; all other updates pass. It is opt-in, because the
table is the host's: installing it needs the right TRIGGER on the table and CREATE on Lapse's schema, removing it needs
their owner. --print prints the SQL for whoever has these rights, and touches nothing.

Examples:
  $ lapse guard install
  $ lapse guard install --print | psql "$OWNER_URL"
  $ lapse guard status
${EXIT_CODES_HELP}`;

const STATES = {
  installed: 'The guard is installed: a late approval is refused',
  missing: 'The guard is not installed: a late approval brings a timed-out execution back, and is found afterwards',
  disabled: 'The guard is installed, but somebody has switched its trigger off: "lapse guard install" puts it right',
  outdated: 'The guard is of another version of Lapse: "lapse guard install" brings it up to date',
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
    ['remove', 'take the guard away', 'Takes the guard away from the watched table.'],
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
    .summary('show whether the guard is there; ends with 1 where it is not')
    .description('Shows whether the guard is there. Ends with 1 where it is not, or not as it should be.')
    .option('--json', 'one JSON document: {state}')
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
  const { GuardNotPermittedError } = await import('../timeouts/timeouts.errors.js');
  const app = await openApplication(run);
  const guard = app.get(LateApprovalGuard, { strict: false });
  const caller = cliCaller(`guard.${change}`);
  await onRecord(app, caller, null, () => guard[change](caller)).catch((error: unknown) => {
    if (error instanceof GuardNotPermittedError && !json) {
      printLine(error.script);
    }
    throw error;
  });
  return tell(await guard.status(), json);
}

async function showGuard(run: CommandRun, { json }: GuardOptions): Promise<ExitCode> {
  const { openApplication } = await import('./application.js');
  const { LateApprovalGuard } = await import('../timeouts/late-approval-guard.service.js');
  const app = await openApplication(run);
  const state = await app.get(LateApprovalGuard, { strict: false }).status();
  tell(state, json);
  return state === 'installed' ? EXIT.done : EXIT.failed;
}

function tell(state: keyof typeof STATES, json: true | undefined): ExitCode {
  if (json) {
    printJson({ state });
  } else {
    printLine(STATES[state]);
  }
  return EXIT.done;
}

/** Needs no database: what the SQL depends on is configured. */
async function scriptOf(change: Change): Promise<string> {
  const { readConfiguration } = await import('../config/configuration.js');
  const { asScript, installGuard, removeGuard } = await import('../timeouts/late-approval-guard.sql.js');
  const { schema, watchedSchema } = readConfiguration();
  const statements = { install: installGuard, remove: removeGuard }[change];
  return asScript(statements(`"${schema}"`, `"${watchedSchema}".workflow_executions`)).trimEnd();
}
