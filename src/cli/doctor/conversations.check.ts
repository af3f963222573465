import { messageOf } from '../../database/database.errors.js';
import { queryOnce } from '../../database/short-transaction.js';
import { INSUFFICIENT_PRIVILEGE, sqlStateOf } from '../../database/sql-state.js';
import { CONVERSATION_COLUMNS } from '../../executions/executions.errors.js';
import { textFaultsOf } from '../../executions/watched-table-layout.js';
import type { Check } from './check.js';
import { ok, warn } from './finding.js';
import { WILL_BE_CREATED } from './watched-table.check.js';

const LIMITS = { statementTimeout: 5_000, lockTimeout: 1_000 };

/** Pending approvals need it, and executions that are searched by `userId`: everything else works without. */
const WITHOUT = 'pending approvals, and executions by "userId", are answered with 503';
const NOT_NEEDED = 'nothing else needs it';

export const conversationsCheck: Check = {
  name: 'conversations',
  needs: 'database',
  async look({ configuration, dataSource }) {
    const table = `"${configuration.watchedSchema}".conversations`;
    try {
      await queryOnce(dataSource, LIMITS, `SELECT ${CONVERSATION_COLUMNS.join(', ')} FROM ${table} LIMIT 0`);
      const faults =
        (await textFaultsOf(dataSource, configuration.watchedSchema, 'conversations', CONVERSATION_COLUMNS)) ?? [];
      return faults.length === 0
        ? ok(`${table} can be read`)
        : warn(
            `${table}: ${faults.join('; ')}: ${WITHOUT}`,
            `let it have the columns of the reference host; ${NOT_NEEDED}`,
          );
    } catch (error) {
      if (sqlStateOf(error) === undefined) {
        throw error;
      }
      const seen = `${table} can't be read (${messageOf(error)}): ${WITHOUT}`;
      if (sqlStateOf(error) === INSUFFICIENT_PRIVILEGE) {
        return warn(seen, `let its owner run: GRANT SELECT ON ${table} TO <the role of DATABASE_URL>;`);
      }
      return warn(seen, configuration.createWatchedTables ? WILL_BE_CREATED : NOT_NEEDED);
    }
  },
};
