import PgBoss from 'pg-boss';
import type { Backlog } from '../support/backlog.js';
import { withClient } from '../support/fixture.js';
import type { BenchServer } from '../support/server.js';
import { timed } from '../support/statistics.js';
import type { Contender } from './contender.js';
import { payloadOf } from './payload.js';

const TEMPLATE = 'lapse_bench_pg_boss';
const QUEUE = 'approvals';

/**
 * pg-boss's own way to fail jobs that were active for too long: `boss.expire()`, which its maintenance calls. Its jobs
 * lie as our executions do: as many, as many of them overdue and waiting, with data of the same size.
 */
export const pgBoss: Contender = {
  name: 'pg-boss, expiring active jobs',
  async createTemplate(server: BenchServer, { rows, overdue, waiting }: Backlog) {
    const url = await server.create(TEMPLATE);
    const boss = await startBoss(url);
    await boss.createQueue(QUEUE);
    await boss.stop({ graceful: false });
    await withClient(url, async (client) => {
      await client.query(
        `INSERT INTO pgboss.job (name, data, state, retry_limit, started_on, expire_in, created_on, completed_on, policy)
         SELECT '${QUEUE}', ${payloadOf('n')},
                (CASE WHEN n > ${rows - overdue - waiting} THEN 'active' ELSE 'completed' END)::pgboss.job_state, 0,
                now() - interval '1 day', CASE WHEN n > ${rows - waiting} THEN interval '2 days' ELSE interval '12 hours' END,
                now() - interval '1 day', CASE WHEN n > ${rows - overdue - waiting} THEN NULL ELSE now() END, 'standard'
           FROM generate_series(1, ${rows}) n`,
      );
      await client.query('VACUUM (FREEZE, ANALYZE)');
    });
    return TEMPLATE;
  },
  async drain(url) {
    const boss = await startBoss(url);
    try {
      return { milliseconds: await timed(() => boss.expire()), timedOut: null };
    } finally {
      await boss.stop({ graceful: false });
    }
  },
  async check(url, { overdue, waiting }) {
    const { rows } = await withClient(url, (client) =>
      client.query(`SELECT count(*) FILTER (WHERE state = 'failed')::int AS failed,
                           count(*) FILTER (WHERE state = 'active')::int AS active FROM pgboss.job`),
    );
    if (rows[0].failed !== overdue || rows[0].active !== waiting) {
      throw new Error(`pg-boss left ${JSON.stringify(rows[0])}; expected ${overdue} failed and ${waiting} active`);
    }
  },
};

/** Without its timers, which would do the same at a time of their own. */
async function startBoss(connectionString: string): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString, supervise: false, schedule: false });
  await boss.start();
  return boss;
}
