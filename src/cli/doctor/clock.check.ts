import { queryRow, RECORD_LIMITS } from '../../database/short-transaction.js';
import type { Check } from './check.js';
import { ok, warn } from './finding.js';

const LARGEST_SKEW_MS = 1_000;

/** Deadlines are by the database's clock, ticks by this machine's; replicas that differ by more sweep twice at a tick. */
export const clockCheck: Check = {
  name: 'clock',
  needs: 'database',
  async look({ dataSource }) {
    const before = Date.now();
    const { ms } = await queryRow<{ ms: number }>(
      dataSource,
      RECORD_LIMITS,
      'SELECT extract(epoch FROM clock_timestamp())::float * 1000 AS ms',
    );
    const after = Date.now();
    // The database looked at its clock somewhere in between; what the way took is no difference.
    const skew = ms < before ? ms - before : ms > after ? ms - after : 0;
    const seen = `this machine's clock and the database's differ by ${Math.abs(Math.round(skew))} ms`;
    return Math.abs(skew) > LARGEST_SKEW_MS
      ? warn(seen, 'synchronise both, by NTP for instance: replicas whose clocks differ sweep twice at a tick')
      : ok(seen);
  },
};
