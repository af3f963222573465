import { WatchedTableIndexes } from '../../executions/watched-table-indexes.js';
import type { Check } from './check.js';
import { ok, warn } from './finding.js';

export const indexesCheck: Check = {
  name: 'indexes',
  needs: 'watched-table',
  async look({ dataSource, watched }) {
    const missing = await new WatchedTableIndexes(dataSource, watched).missingUnlessLocked();
    if (missing === undefined) {
      return warn(`${watched.name} is locked, so its indexes can't be looked at`, 'run "lapse doctor" again later');
    }
    if (missing.length === 0) {
      return ok('sweeps of the platform and of one tenant each have their index');
    }
    return warn(
      `no index for ${missing.map(({ purpose }) => purpose).join(', none for ')}: each reads the whole table`,
      ['let the owner of the table run:', ...missing.flatMap(({ commands }) => commands.map((sql) => `${sql};`))].join(
        '\n',
      ),
    );
  },
};
