import type { INestApplicationContext } from '@nestjs/common';
import type { Command } from 'commander';
import type { Caller } from '../access/principal.js';
import type { SweepDto } from '../sweeps/sweep-answer.js';
import type { RequestSweepBody } from '../sweeps/sweeps.dto.js';
import { CommandRun } from './command-run.js';
import { EXIT_CODES_HELP, type ExitCode } from './exit-codes.js';
import { timeOf } from './look/cells.js';
import { printJson, printList, printProperties } from './output.js';
import { asBusy, exitCodeOf, toEnd } from './sweep-end.js';

const HELP = `
Waits up to five seconds while another sweep of the same scope runs; each tenant's sweeps are a scope of their own.
Ctrl-C or SIGTERM stops it after its batch: what it has timed out until then stays, is counted, and the sweep is on
record as interrupted. It is on record with your user name as "cli:<name>", like every command that changes something.

Examples:
  $ lapse sweep --dry-run
  $ lapse sweep --tenant acme --timeout 2h --limit 1000 --reason "Cleaning up after the incident"
  $ lapse sweep --json | jq .counts
${EXIT_CODES_HELP}`;

/** Failed executions that are shown beside a partial sweep; "lapse failures" has all of them. */
const FAILURES_SHOWN = 10;

interface SweepOptions {
  tenant?: string;
  project?: string;
  agent?: string;
  timeout?: string;
  limit?: string;
  dryRun?: true;
  reason?: string;
  json?: true;
}

const OPTION_OF = {
  tenantId: '--tenant',
  projectId: '--project',
  agentId: '--agent',
  timeoutSeconds: '--timeout',
  limit: '--limit',
  reason: '--reason',
} as const;

export function addSweepCommand(lapse: Command): void {
  lapse
    .command('sweep')
    .summary('time out what is overdue now')
    .description('Times out what is overdue now, once, whatever the schedule does.')
    .option('--tenant <id>', 'only this tenant; the whole platform where left out')
    .option('--project <id>', 'only this project')
    .option('--agent <id>', 'only executions of this agent')
    .option('--timeout <duration>', 'how long an execution may stay suspended, such as 90s, 30m or 2h')
    .option('--limit <n>', 'at most so many executions, oldest first')
    .option('--dry-run', 'count what would be timed out, and change nothing')
    .option('--reason <text>', 'why; kept with the sweep')
    .option('--json', 'one JSON document: the Sweep as the API answers it')
    .addHelpText('after', HELP)
    .action((options: SweepOptions) => CommandRun.toExit((run) => sweepNow(run, options)));
}

async function sweepNow(run: CommandRun, options: SweepOptions): Promise<ExitCode> {
  const request = await requestIn(options);
  const { openApplication } = await import('./application.js');
  const { cliCaller, onRecord } = await import('./cli-caller.js');
  const { SweepsService } = await import('../sweeps/sweeps.service.js');
  const app = await openApplication(run);
  const caller = cliCaller('sweep.request', request.tenantId);
  const sweeps = app.get(SweepsService);
  const sweep = await onRecord(app, caller, null, () =>
    toEnd(app, caller.scope, options.json === true, (onStarted) => sweeps.run('cli', caller, request, onStarted)),
  ).catch(asBusy);
  if (options.json) {
    printJson(sweep);
  } else {
    print(sweep);
    if (sweep.counts.failed > 0) {
      await printFailures(app, caller, sweep);
    }
  }
  return exitCodeOf(sweep);
}

/** @throws OptionsInvalidError */
async function requestIn(options: SweepOptions): Promise<RequestSweepBody> {
  const { RequestSweepBody } = await import('../sweeps/sweeps.dto.js');
  const { checked, DURATION_ALLOWED, numberIn, secondsIn } = await import('./options.js');
  return checked(
    RequestSweepBody,
    {
      tenantId: options.tenant,
      projectId: options.project,
      agentId: options.agent,
      timeoutSeconds: secondsIn(options.timeout),
      limit: numberIn(options.limit),
      dryRun: options.dryRun,
      reason: options.reason,
    },
    OPTION_OF,
    { timeoutSeconds: DURATION_ALLOWED },
  );
}

function print({ id, scope, status, dryRun, counts, paused, durationMs, reason, error }: SweepDto): void {
  const { tenantId, projectId, agentId } = scope;
  printProperties({
    [dryRun ? 'Dry run' : 'Sweep']: id,
    Scope: tenantId === null ? 'platform' : `tenant ${tenantId}`,
    Project: projectId,
    Agent: agentId,
    Status: status,
    [dryRun ? 'Would time out' : 'Timed out']: counts.timedOut,
    Skipped: dryRun ? null : counts.skipped,
    Failed: dryRun ? null : counts.failed,
    Paused: paused && `${paused.executions}, tried again from ${paused.nextTryAt} to ${paused.until}`,
    Took: `${durationMs} ms`,
    Reason: reason,
    Error: error,
  });
}

async function printFailures(app: INestApplicationContext, caller: Caller, { id, counts }: SweepDto): Promise<void> {
  const { FailuresService } = await import('../sweeps/failures.service.js');
  const { items } = await app.get(FailuresService).list(caller, { sweepId: id, limit: FAILURES_SHOWN });
  printList(
    [{ name: `Failed (${items.length} of ${counts.failed})`, kept: true }, 'Why', 'Next try'],
    items.map(({ tenantId, projectId, executionId, lastReason, nextTryAt }) => [
      `${tenantId} / ${projectId} / ${executionId}`,
      lastReason,
      timeOf(nextTryAt),
    ]),
    '"lapse failures --json"',
  );
}
