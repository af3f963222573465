import { assertDrained } from '../support/backlog.js';
import { withClient } from '../support/fixture.js';
import { timed } from '../support/statistics.js';
import type { Contender, Drain } from './contender.js';
import { IS_OVERDUE, TIME_OUT } from './statements.js';

const BARE = `${TIME_OUT} WHERE ${IS_OVERDUE}`;

/** "Suspended since" is made up, since before PostgreSQL 18 an UPDATE can't return it. */
const WITH_LEDGER = `
  WITH timed_out AS (${TIME_OUT} WHERE ${IS_OVERDUE} RETURNING *)
  INSERT INTO lapse.timeouts (sweep_id, tenant_id, project_id, execution_id, agent_id, conversation_id,
                              tool_call_id, tool_name, suspended_since, deadline, timed_out_at)
  SELECT gen_random_uuid(), tenant_id, project_id, id, agent_id, conversation_id,
         metadata #>> '{pendingToolApproval,toolCallId}', metadata #>> '{pendingToolApproval,toolName}',
         created_at, created_at, now()
    FROM timed_out`;

/** One statement, one commit, no record of what it did: the least that can be asked of the database. */
export const bareUpdate = inOneStatement('one bare UPDATE', BARE, false);

/** The same with a ledger row for each execution. */
export const updateWithLedger = inOneStatement('one UPDATE with ledger', WITH_LEDGER, true);

function inOneStatement(name: string, statement: string, keepsLedger: boolean): Contender {
  return {
    name,
    drain: (url): Promise<Drain> =>
      withClient(url, async (client) => ({
        milliseconds: await timed(() => client.query(statement)),
        timedOut: null,
      })),
    check: (url, backlog, timedOut) => assertDrained(url, backlog, { name, keepsLedger, timedOut }),
  };
}
