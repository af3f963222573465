import { Command, CommanderError } from 'commander';
import { LAPSE_VERSION } from '../config/version.js';
import { addDoctorCommand } from './doctor.command.js';
import { EXIT, EXIT_CODES_HELP } from './exit-codes.js';
import { addGuardCommand } from './guard.command.js';
import { addKeysCommand } from './keys.command.js';
import { addBacklogCommand } from './look/backlog.command.js';
import { addExecutionsCommand } from './look/executions.command.js';
import { addFailuresCommand } from './look/failures.command.js';
import { addLocksCommand } from './look/locks.command.js';
import { addStatusCommand } from './look/status.command.js';
import { addSweepsCommand } from './look/sweeps.command.js';
import { addTimeoutsCommand } from './look/timeouts.command.js';
import { addMigrateCommand } from './migrate.command.js';
import { addServeCommand } from './serve.command.js';
import { addSweepCommand } from './sweep.command.js';
import { addUndoCommand } from './undo.command.js';

/** In the order in which help lists them. Each adds its words and options, and loads the service only when it runs. */
const COMMANDS = [
  addServeCommand,
  addMigrateCommand,
  addStatusCommand,
  addBacklogCommand,
  addExecutionsCommand,
  addSweepsCommand,
  addTimeoutsCommand,
  addFailuresCommand,
  addLocksCommand,
  addSweepCommand,
  addUndoCommand,
  addGuardCommand,
  addKeysCommand,
  addDoctorCommand,
];

const HELP = `
The configuration is the service's own: DATABASE_URL and the LAPSE_ variables of the README. Without DATABASE_URL a
command works on the PostgreSQL under LAPSE_DATA_DIR, which "lapse serve" creates: on the server of a service that runs
there, or on one that is started for the command. If there is none, the command fails and creates nothing.

Examples:
  $ lapse doctor                                   what is wrong, and what to do
  $ lapse status                                   is all well, and what waits
  $ lapse executions --id exec_p9s0                whose is this execution, and what became of it
  $ lapse sweep --dry-run                          how much is overdue
  $ lapse sweep --tenant acme --reason "Incident"  time out what is overdue of one tenant
  $ lapse guard install                            keep late approvals from undoing a timeout
  $ lapse keys create --name ci --role operator    a key for the API
${EXIT_CODES_HELP}`;

/** Reads the arguments and runs the command that they name. Every way ends with a code of `EXIT`. */
export async function runProgram(argv: readonly string[]): Promise<void> {
  try {
    await program().parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      throw error;
    }
    // Help and the version that were asked for come this way too.
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.wrongUsage;
  }
}

function program(): Command {
  const lapse = new Command('lapse')
    .description('Times out workflow executions that waited too long for a person’s approval.')
    .version(LAPSE_VERSION, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show help, also of each command')
    .helpCommand('help [command]', 'show help of a command')
    .addHelpText('after', HELP)
    .showHelpAfterError('"lapse --help" has all commands, "lapse <command> --help" the options of one.')
    .exitOverride();
  for (const add of COMMANDS) {
    add(lapse);
  }
  return lapse;
}
