import { messageOf } from '../../database/database.errors.js';
import { sqlStateOf } from '../../database/sql-state.js';
import type { Check } from './check.js';
import { ok, warn } from './finding.js';
import { WILL_BE_CREATED } from './watched-table.check.js';

const INSUFFICIENT_PRIVILEGE = '42501';

/** Only the check of an end user's own conversations needs it: everything else works without. */
export const conversationsCheck: Check = {
  name: 'conversations',
  needs: 'database',
  async look({ configuration, dataSource }) {
    const table = `"${configuration.watchedSchema}".conversations`;
    try {
      await dataSource.query(`SELECT tenant_id, project_id, id, user_id FROM ${table} LIMIT 0`);
      return ok(`${table} can be read`);
    } catch (error) {
      if (sqlStateOf(error) === undefined) {
        throw error;
      }
      const seen = `${table} can't be read (${messageOf(error)}): end users find no pending approval`;
      if (sqlStateOf(error) === INSUFFICIENT_PRIVILEGE) {
        return warn(seen, `let its owner run: GRANT SELECT ON ${table} TO <the role of DATABASE_URL>;`);
      }
      return warn(seen, configuration.createWatchedTables ? WILL_BE_CREATED : 'without end users nothing needs it');
    }
  },
};
