import { queryRow, RECORD_LIMITS } from '../../database/short-transaction.js';
import type { Check } from './check.js';
import { fail, ok, warn } from './finding.js';

const OLDEST = 14;
const NEWEST_TRIED = 18;

export const versionCheck: Check = {
  name: 'version',
  needs: 'database',
  async look({ dataSource }) {
    const { version, number } = await queryRow<{ version: string; number: number }>(
      dataSource,
      RECORD_LIMITS,
      `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number`,
    );
    const major = Math.floor(number / 10_000);
    if (major < OLDEST) {
      return fail(`PostgreSQL ${version}`, `Lapse needs PostgreSQL ${OLDEST} or newer: upgrade the server`);
    }
    return major > NEWEST_TRIED
      ? warn(`PostgreSQL ${version}`, `Lapse is tried on ${OLDEST} to ${NEWEST_TRIED}: try it on a copy first`)
      : ok(`PostgreSQL ${version}`);
  },
};
