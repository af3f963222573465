import type { Command } from 'commander';
import { CommandRun } from './command-run.js';
import type { Finding } from './doctor/finding.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { printable, printJson, printLine } from './output.js';

const HELP = `
Looks at the connection, the watched table and its indexes, migrations, privileges, locks, clocks, the schedule, whether
anybody sweeps, and the address to listen on. Changes nothing. Each line is ok, warn (Lapse works, and something is to be
known or done), FAIL (it doesn't work) or skip (it couldn't be looked at), with what was seen, and what to do.
docs/runbook.md has the steps for each symptom.

Example:
  $ lapse doctor
  ok    connection     database "app" on 127.0.0.1:5432 as role "lapse"
  FAIL  watched table  there is no table "public".workflow_executions
        to do: set LAPSE_WATCHED_SCHEMA to the schema that holds it …

Exit codes:
  0  nothing fails; there may be warnings
  1  something fails
  2  wrong usage`;

const NAME_WIDTH = 'conversations'.length;
const INDENT = ' '.repeat(6);

export function addDoctorCommand(lapse: Command): void {
  lapse
    .command('doctor')
    .summary('look for what is wrong, and say what to do')
    .description('Looks for what is wrong, and says what to do about it.')
    .option('--json', 'one JSON document: {healthy, findings: [{check, verdict, seen, remedy}]}')
    .addHelpText('after', HELP)
    .action((options: { json?: true }) => CommandRun.toExit((run) => examineAll(run, options)));
}

async function examineAll(run: CommandRun, { json }: { json?: true }): Promise<ExitCode> {
  const { examine } = await import('./doctor/examination.js');
  const findings: Finding[] = [];
  for await (const finding of examine(run)) {
    findings.push(finding);
    if (!json) {
      print(finding);
    }
  }
  const healthy = !findings.some(({ verdict }) => verdict === 'fail');
  if (json) {
    printJson({ healthy, findings });
  }
  return healthy ? EXIT.done : EXIT.failed;
}

function print({ check, verdict, seen, remedy }: Finding): void {
  const word = (verdict === 'fail' ? 'FAIL' : verdict).padEnd(4);
  printLine(`${word}  ${check.padEnd(NAME_WIDTH)}  ${printable(seen)}`);
  if (remedy !== null) {
    printLine(`${INDENT}to do: ${remedy.split('\n').map(printable).join(`\n${INDENT}  `)}`);
  }
}
