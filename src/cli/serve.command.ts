import type { Command } from 'commander';

const HELP = `
Stop it with Ctrl-C or SIGTERM: running sweeps end after their batch. It ends with 0 after a signal, and with 1 where it
can't start.

Example:
  $ DATABASE_URL=postgres://lapse:secret@127.0.0.1:5432/app lapse serve`;

export function addServeCommand(lapse: Command): void {
  lapse
    .command('serve')
    .summary('start the service: API and schedule')
    .description('Starts the service, as "npm start" does: the API, the schedule, and without DATABASE_URL a demo.')
    .addHelpText('after', HELP)
    .action(async () => {
      const { startService } = await import('../start-service.js');
      startService();
    });
}
