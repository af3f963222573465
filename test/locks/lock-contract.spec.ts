import { afterAll, describe, test } from '@jest/globals';
import { PgBouncer, pgBouncerIsInstalled } from '../support/pgbouncer.js';
import { useDatabase } from '../support/world.js';
import { openLocks } from './advisory-locks.js';
import { lockContract } from './lock-contract.js';
import { LockProcess } from './lock-process.js';

const world = useDatabase();
const implementation = { module: './advisory-locks.js', openLocks };
const databaseUrl = () => world.databaseUrl;
const processes = Array.from({ length: 8 }, () => LockProcess.start(implementation.module));
afterAll(async () => {
  await Promise.all(processes.map((process) => process.end('SIGKILL')));
});

const directly = async () => ({ url: world.databaseUrl, stop: async () => {} });
lockContract('directly', implementation, directly, databaseUrl, processes);

if (pgBouncerIsInstalled) {
  for (const poolMode of ['transaction', 'session'] as const) {
    const openRoute = () => PgBouncer.before(world.databaseUrl, poolMode);
    lockContract(`through PgBouncer in ${poolMode} mode`, implementation, openRoute, databaseUrl, processes);
  }
} else {
  describe('through PgBouncer', () => {
    test.todo('is skipped: pgbouncer is not installed (apt-get install pgbouncer)');
  });
}
