import { Logger, runMigrations, runTaskListOnce } from 'graphile-worker';
import type { Backlog } from '../support/backlog.js';
import { openPool, withClient } from '../support/fixture.js';
import type { BenchServer } from '../support/server.js';
import { timed } from '../support/statistics.js';
import type { Contender } from './contender.js';
import { payloadOf } from './payload.js';

const TEMPLATE = 'lapse_bench_graphile_worker';
const logger = new Logger(() => () => undefined);

/**
 * Graphile Worker's own way to rescue jobs whose worker is gone: each run begins by unlocking what was locked for more
 * than four hours. The run has no task that it could do, so that it does nothing else. It deletes jobs that are done, so
 * those that aren't overdue wait for a later day.
 */
export const graphileWorker: Contender = {
  name: 'Graphile Worker, rescuing locked jobs',
  async createTemplate(server: BenchServer, { rows, overdue }: Backlog) {
    const url = await server.create(TEMPLATE);
    await runMigrations({ connectionString: url, logger });
    await withClient(url, async (client) => {
      await client.query(`SELECT graphile_worker.add_job('approve', run_at := now() + interval '1 year')`);
      await client.query(
        `INSERT INTO graphile_worker._private_jobs (task_id, payload, run_at, attempts, locked_at, locked_by)
         SELECT t.id, ${payloadOf('n')},
                CASE WHEN n > ${rows - overdue} THEN now() - interval '1 day' ELSE now() + interval '1 day' END,
                CASE WHEN n > ${rows - overdue} THEN 1 ELSE 0 END,
                CASE WHEN n > ${rows - overdue} THEN now() - interval '1 day' END,
                CASE WHEN n > ${rows - overdue} THEN 'worker-' || n % 10 END
           FROM generate_series(1, ${rows}) n, graphile_worker._private_tasks t WHERE t.identifier = 'approve'`,
      );
      await client.query('VACUUM (FREEZE, ANALYZE)');
    });
    return TEMPLATE;
  },
  async drain(url) {
    const pool = openPool(url, 2);
    const client = await pool.connect();
    try {
      const run = () =>
        runTaskListOnce({ logger, noHandleSignals: true }, { another: () => undefined }, client).promise;
      return { milliseconds: await timed(run), timedOut: null };
    } finally {
      client.release();
      await pool.end();
    }
  },
  async check(url, { overdue }) {
    const { rows } = await withClient(url, (client) =>
      client.query(
        `SELECT count(*) FILTER (WHERE is_available AND attempts = 1)::int AS rescued,
                count(*) FILTER (WHERE locked_at IS NOT NULL)::int AS locked FROM graphile_worker._private_jobs`,
      ),
    );
    if (rows[0].rescued !== overdue || rows[0].locked !== 0) {
      throw new Error(`Graphile Worker left ${JSON.stringify(rows[0])}; expected ${overdue} rescued and none locked`);
    }
  },
};
