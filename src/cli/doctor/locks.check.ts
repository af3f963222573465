import { describeServer, parseDatabaseUrl } from '../../config/database-address.js';
import { lockSettings } from '../../database/lock-settings.js';
import { LockConnections } from '../../locks/lock-connections.js';
import { proveLocks } from '../../locks/lock-proof.js';
import { LocksUnreliableError } from '../../locks/locks.errors.js';
import type { Check } from './check.js';
import { fail, ok, skip } from './finding.js';

/** As the service does before it starts: two connections at once, through whatever pooler there is. */
export const locksCheck: Check = {
  name: 'locks',
  needs: 'configuration',
  async look(configuration, isConnected) {
    const { lockDatabaseUrl, databaseUrl } = configuration;
    if (lockDatabaseUrl === databaseUrl && !isConnected) {
      return skip('there is no connection');
    }
    const connections = new LockConnections(lockSettings(configuration));
    const variable = lockDatabaseUrl === databaseUrl ? 'DATABASE_URL' : 'LAPSE_LOCK_DATABASE_URL';
    try {
      await proveLocks(lockDatabaseUrl, connections);
      const { database, ...address } = parseDatabaseUrl(lockDatabaseUrl);
      return ok(
        `advisory locks are kept for a transaction in "${database}" on ${describeServer(address)} (${variable})`,
      );
    } catch (error) {
      if (error instanceof LocksUnreliableError) {
        return fail(
          `advisory locks don't work through ${error.where} (${variable}): ${error.because}`,
          'let LAPSE_LOCK_DATABASE_URL lead to PostgreSQL itself, or to a pooler in session or transaction mode',
        );
      }
      throw error;
    } finally {
      await connections.onApplicationShutdown();
    }
  },
};
