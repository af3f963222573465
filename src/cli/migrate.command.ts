import type { Command } from 'commander';
import { CommandRun } from './command-run.js';
import { EXIT, EXIT_CODES_HELP, type ExitCode } from './exit-codes.js';
import { printJson, printLine } from './output.js';

const HELP = `
The service does the same when it starts; this is for those who want it done before, or by another role. It waits while
another process migrates. The watched table is never changed; it is created where LAPSE_CREATE_WATCHED_TABLES says so.

Example:
  $ lapse migrate
  Schema "lapse" is up to date: nothing to do
${EXIT_CODES_HELP}`;

export function addMigrateCommand(lapse: Command): void {
  lapse
    .command('migrate')
    .summary("bring Lapse's own tables up to date")
    .description("Brings Lapse's own tables up to date, and says what it did.")
    .option('--json', 'one JSON document: {schema, migrations, createdTables}')
    .addHelpText('after', HELP)
    .action((options: { json?: true }) => CommandRun.toExit((run) => migrateNow(run, options)));
}

async function migrateNow(run: CommandRun, { json }: { json?: true }): Promise<ExitCode> {
  const { openForMigration } = await import('./application.js');
  const { migrate } = await import('../database/migrate.js');
  const { dataSource, configuration } = await openForMigration(run);
  const { migrations, createdTables } = await migrate(dataSource, configuration);
  const { schema } = configuration;
  if (json) {
    printJson({ schema, migrations, createdTables });
    return EXIT.done;
  }
  for (const name of migrations) {
    printLine(`Migrated: ${name}`);
  }
  for (const table of createdTables) {
    printLine(`Created: ${table}`);
  }
  const done = migrations.length + createdTables.length;
  printLine(`Schema "${schema}" is up to date${done === 0 ? ': nothing to do' : ''}`);
  return EXIT.done;
}
