import { formatDuration } from '../../config/duration.js';
import { rfc3339 } from '../../database/moments.js';
import { WatchedReads } from '../../executions/watched-reads.js';
import type { WatchedTable } from '../../executions/watched-table.js';
import { ProblemError } from '../../http/problem.error.js';
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
    const found = await findOverdue(new WatchedReads(dataSource, watched), watched, configuration.approvalTimeout * 2);
    if (found instanceof ProblemError) {
      return warn(found.operatorDetail ?? found.message, 'run "lapse doctor" again when the table can be read');
    }
    const { count, oldest } = found;
    if (count === 0) {
      return ok(`nothing is suspended for ${limit}, twice the timeout`);
    }
    const many = count > COUNTED_AT_MOST ? `more than ${COUNTED_AT_MOST}` : count;
    return warn(
      `${many} suspended for ${limit} or longer, twice the timeout; the oldest since ${rfc3339(oldest)}`,
      'it seems that nobody sweeps, or that they can\'t be timed out: start the service, run "lapse sweep", and look at ' +
        '"lapse failures"',
    );
  },
};

/** What keeps the table from being read, such as a lock, is a value: it is a finding as well. */
async function findOverdue(
  reads: WatchedReads,
  watched: WatchedTable,
  ageMs: number,
): Promise<{ count: number; oldest: Date } | ProblemError> {
  try {
    const [found] = await reads.read<{ count: number; oldest: Date }>(
      (parameters) => `
        SELECT count(*)::int AS count, min(since) AS oldest FROM (
          SELECT ${watched.updatedAt('e')} AS since FROM ${watched.name} e
           WHERE ${watched.isOverdue('e', 'statement_timestamp()', parameters.add(ageMs / 1000))}
           ORDER BY e.updated_at LIMIT ${COUNTED_AT_MOST + 1}) long`,
    );
    return found as { count: number; oldest: Date };
  } catch (error) {
    if (error instanceof ProblemError) {
      return error;
    }
    throw error;
  }
}
