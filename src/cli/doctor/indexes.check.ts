import { WatchedTableIndexes } from '../../executions/watched-table-indexes.js';
import type { Check } from './check.js';
import { ok, skip, warn } from './finding.js';

export const indexesCheck: Check = {
  name: 'indexes',
  needs: 'watched-table',
  async look({ dataSource, watched }) {
    const missing = await new WatchedTableIndexes(dataSource, watched).missingIfKnown();
    if (missing === 'not permitted') {
      return skip(`the role may not read ${watched.name}`);
    }
    if (typeof missing === 'string') {
      return warn(`${watched.name} is ${missing}, so its indexes can't be looked at`, 'run "lapse doctor" again later');
    }
    if (missing.length === 0) {
      return ok('sweeps of the platform and of one tenant each have their index');
    }
    return warn(
      `no index serves ${missing.map(({ purpose }) => purpose).join(', none ')}: each reads the whole table`,
      ['let the owner of the table run:', ...missing.flatMap(({ commands }) => commands.map((sql) => `${sql};`))].join(
        '\n',
      ),
    );
  },
};
