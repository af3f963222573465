import type { Command } from 'commander';
import type { SweepDto } from '../sweeps/sweep-answer.js';
import { CommandRun } from './command-run.js';
import { EXIT_CODES_HELP, type ExitCode } from './exit-codes.js';
import { printJson, printProperties } from './output.js';
import { asBusy, exitCodeOf, toEnd } from './sweep-end.js';

const HELP = `
Executions that are still as the sweep left them are suspended again, from now on: they have a fresh deadline and their
own metadata, and can time out again. What somebody has changed since stays as it is. Undoing a sweep again changes
nothing, or goes on where an undo broke off. What became of each: GET /v1/sweeps/<id of the undo>/timeouts.

Examples:
  $ lapse undo 01a2046b-b78f-79aa-b88d-dc1d2687064d --reason "The timeout was set to 3 minutes"
  $ lapse undo 01a2046b-b78f-79aa-b88d-dc1d2687064d --reason "Wrong setting" --json | jq .undone
${EXIT_CODES_HELP}`;

interface UndoOptions {
  reason?: string;
  json?: true;
}

export function addUndoCommand(lapse: Command): void {
  lapse
    .command('undo')
    .argument('<sweepId>', 'the id of the sweep, a UUID')
    .summary('take back what a sweep has timed out')
    .description('Reopens whatever a sweep has timed out, where nobody has changed it since.')
    .option('--reason <text>', 'why; kept with the undo and with each timeout (required)')
    .option('--json', 'one JSON document: the Sweep of the undo as the API answers it')
    .addHelpText('after', HELP)
    .action((sweepId: string, options: UndoOptions) => CommandRun.toExit((run) => undoNow(run, sweepId, options)));
}

async function undoNow(run: CommandRun, sweepId: string, { reason, json }: UndoOptions): Promise<ExitCode> {
  const { SweepIdParam } = await import('../sweeps/sweep-id.param.js');
  const { ReopenBody } = await import('../timeouts/reopenings.dto.js');
  const { checked } = await import('./options.js');
  await checked(SweepIdParam, { sweepId }, { sweepId: '<sweepId>' });
  const body = await checked(ReopenBody, { reason }, { reason: '--reason' });
  const { openApplication } = await import('./application.js');
  const { cliCaller, onRecord } = await import('./cli-caller.js');
  const { ReopeningsService } = await import('../timeouts/reopenings.service.js');
  const app = await openApplication(run);
  const caller = cliCaller('sweep.undo');
  const reopenings = app.get(ReopeningsService, { strict: false });
  const undo = await onRecord(app, caller, sweepId, () =>
    toEnd(app, caller.scope, json === true, (onStarted) =>
      reopenings.undo('cli', caller, sweepId, body.reason, onStarted),
    ),
  ).catch(asBusy);
  if (json) {
    printJson(undo);
  } else {
    print(undo);
  }
  return exitCodeOf(undo);
}

function print({ id, undoes, status, undone, counts, durationMs, reason, error }: SweepDto): void {
  printProperties({
    Undo: id,
    'Of sweep': undoes,
    Status: status,
    Reopened: undone?.reopened ?? 0,
    'Changed since': undone?.changedSince ?? 0,
    Gone: undone?.gone ?? 0,
    'Reopened before': undone?.alreadyReopened ?? 0,
    Failed: counts.failed,
    Took: `${durationMs} ms`,
    Reason: reason,
    Error: error,
  });
}
