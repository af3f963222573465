import { formatDuration } from '../../config/duration.js';
import type { Check } from './check.js';
import { ok, warn } from './finding.js';

/** Counting stops here: whether somebody sweeps is what is asked. */
const COUNTED_AT_MOST = 1_000;

/** An execution that is suspended for twice the timeout should have been timed out long ago. */
export const overdueCheck: Check = {
  name: 'overdue',
  needs: 'watched-table',
  async look({ configuration, dataSource, watched }) {
    const limit = formatDuration(configuration.approvalTimeout * 2);
    const [{ count, oldest }] = await dataSource.query(
      `SELECT count(*)::int AS count, min(since) AS oldest FROM (
         SELECT ${watched.updatedAt('e')} AS since FROM ${watched.name} e
          WHERE ${watched.isOverdue('e', 'statement_timestamp()', '$1')}
          ORDER BY e.updated_at LIMIT ${COUNTED_AT_MOST + 1}) long`,
      [(configuration.approvalTimeout / 1000) * 2],
    );
    if (count === 0) {
      return ok(`nothing is suspended for ${limit}, twice the timeout`);
    }
    const many = count > COUNTED_AT_MOST ? `more than ${COUNTED_AT_MOST}` : count;
    return warn(
      `${many} suspended for ${limit} or longer, twice the timeout; the oldest since ${oldest.toISOString()}`,
      'it seems that nobody sweeps, or that they can\'t be timed out: start the service, run "lapse sweep", and look at ' +
        'GET /v1/failures',
    );
  },
};
