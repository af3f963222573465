import type { Command } from 'commander';
import type { SweepDto } from '../sweeps/sweep-answer.js';
import type { UndoBody } from '../timeouts/undo.dto.js';
import { CommandRun } from './command-run.js';
import { EXIT_CODES_HELP, type ExitCode } from './exit-codes.js';
import { printJson, printProperties } from './output.js';
import { asBusy, exitCodeOf, toEnd } from './sweep-end.js';

const HELP = `
Takes back one sweep, or everything that was timed out in a period, by whichever sweeps. Executions that are still as they
were left are suspended again, from now on: they have a fresh deadline and their own metadata, and can time out again.
What has been changed since stays as it is. An undo that was stopped or killed is continued by the same command; running it
once more changes nothing. What became of each execution: GET /v1/sweeps/<id of the undo>/timeouts.

Look first with --dry-run, and see that LAPSE_APPROVAL_TIMEOUT is right again: the command warns if it is not longer than
the timeout used then.

Examples:
  $ lapse undo --from 2026-11-24T22:00:00Z --to 2026-11-25T06:00:00Z --tenant acme --dry-run
  $ lapse undo --from 2026-11-24T22:00:00Z --to 2026-11-25T06:00:00Z --tenant acme --reason "The timeout was set to 3 minutes"
  $ lapse undo 01a2046b-b78f-79aa-b88d-dc1d2687064d --reason "Wrong setting" --json | jq .undone
${EXIT_CODES_HELP}`;

interface UndoOptions {
  from?: string;
  to?: string;
  tenant?: string;
  project?: string;
  agent?: string;
  dryRun?: true;
  reason?: string;
  json?: true;
}

const OPTION_OF = {
  sweepId: '<sweepId>',
  from: '--from',
  to: '--to',
  tenantId: '--tenant',
  projectId: '--project',
  agentId: '--agent',
  reason: '--reason',
} as const;

export function addUndoCommand(lapse: Command): void {
  lapse
    .command('undo')
    .argument('[sweepId]', 'only what this sweep has timed out, a UUID')
    .summary('take back what was timed out in a period or by a sweep')
    .description('Reopens what was timed out in a period or by a sweep, unless it has been changed since.')
    .option('--from <time>', 'what was timed out at this time or later, such as 2026-11-24T22:00:00Z')
    .option('--to <time>', 'what was timed out before this time')
    .option('--tenant <id>', 'only this tenant; the whole platform by default')
    .option('--project <id>', 'only this project')
    .option('--agent <id>', 'only executions of this agent')
    .option('--dry-run', 'count what would become of each, and change nothing')
    .option('--reason <text>', 'why; kept with the undo and with each timeout (required unless --dry-run is given)')
    .option('--json', 'one JSON document: the Sweep of the undo as the API answers it')
    .addHelpText('after', HELP)
    .action((sweepId: string | undefined, options: UndoOptions) =>
      CommandRun.toExit((run) => undoNow(run, sweepId, options)),
    );
}

async function undoNow(run: CommandRun, sweepId: string | undefined, options: UndoOptions): Promise<ExitCode> {
  const request = await requestIn(sweepId, options);
  const { openApplication } = await import('./application.js');
  const { cliCaller, onRecord } = await import('./cli-caller.js');
  const { ReopeningsService } = await import('../timeouts/reopenings.service.js');
  const app = await openApplication(run);
  const caller = cliCaller('sweep.undo', request.tenantId);
  const reopenings = app.get(ReopeningsService, { strict: false });
  const undo = await onRecord(app, caller, sweepId ?? null, () =>
    toEnd(app, caller.scope, options.json === true, (onStarted) => reopenings.undo('cli', caller, request, onStarted)),
  ).catch(asBusy);
  if (options.json) {
    printJson(undo);
  } else {
    print(undo);
  }
  return exitCodeOf(undo);
}

/** @throws OptionsInvalidError */
async function requestIn(sweepId: string | undefined, options: UndoOptions): Promise<UndoBody> {
  const { UndoBody } = await import('../timeouts/undo.dto.js');
  const { checked } = await import('./options.js');
  const { from, to, tenant, project, agent, dryRun, reason } = options;
  return checked(
    UndoBody,
    { sweepId, from, to, tenantId: tenant, projectId: project, agentId: agent, dryRun, reason },
    OPTION_OF,
  );
}

function print({ id, undoes, range, scope, status, dryRun, undone, counts, ...undo }: SweepDto): void {
  const { tenantId, projectId, agentId } = scope;
  printProperties({
    [dryRun ? 'Dry run' : 'Undo']: id,
    'Of sweep': undoes,
    'Timed out': range && `${range.from} to ${range.to}`,
    Scope: tenantId === null ? 'platform' : `tenant ${tenantId}`,
    Project: projectId,
    Agent: agentId,
    Status: status,
    [dryRun ? 'Would reopen' : 'Reopened']: undone?.reopened ?? 0,
    'Changed since': undone?.changedSince ?? 0,
    Gone: undone?.gone ?? 0,
    'Reopened before': undone?.alreadyReopened ?? 0,
    Failed: dryRun ? null : counts.failed,
    Took: `${undo.durationMs} ms`,
    Reason: undo.reason,
    Error: undo.error,
  });
  for (const warning of undo.warnings) {
    process.stderr.write(`warning: ${warning}\n`);
  }
}
