import { setTimeout as delay } from 'node:timers/promises';
import type { Measure } from '../measure.js';
import { builtService } from '../support/build-service.js';
import { createExecutions, warm, withClient } from '../support/fixture.js';
import { Service } from '../support/service.js';
import { percentile, spreadOf } from '../support/statistics.js';

const DATABASE = 'lapse_bench_timeliness';
const TIMEOUT_SECONDS = 600;
const POLL_MS = 500;
const SHARES = Array.from({ length: 101 }, (_, percent) => Math.max(percent, 0.1) / 100);

interface Sizes {
  /** Executions that reach their deadline each second, and for how many seconds. */
  perSecond: number;
  seconds: number;
  /** How many others wait and don't reach theirs. */
  waiting: number;
  /** Seconds before the first deadline, for filling the table and for the service to start. */
  lead: number;
}

/** How long after its deadline an execution is timed out, where the schedule ticks every second. */
export const timeliness: Measure<Sizes> = {
  full: { perSecond: 200, seconds: 60, waiting: 100_000, lead: 15 },
  quick: { perSecond: 100, seconds: 2, waiting: 1_000, lead: 5 },
  async take(server, { perSecond, seconds, waiting, lead }, report) {
    const due = perSecond * seconds;
    report.progress(`timeliness: making ${due} executions that reach their deadline within ${seconds} s`);
    const main = await builtService();
    const url = await createExecutions(server, DATABASE, {
      rows: due + waiting,
      tenants: 1000,
      status: `'suspended'`,
      since: `CASE WHEN n <= ${due}
                   THEN now() - interval '${TIMEOUT_SECONDS - lead} s' + n * interval '1 s' / ${perSecond}
                   ELSE now() END`,
    });
    await warm(url);
    const service = await Service.start(main, url, {
      LAPSE_SWEEP_CRON: '* * * * * *',
      LAPSE_APPROVAL_TIMEOUT: `${TIMEOUT_SECONDS}s`,
    });
    try {
      const lateness = await latenessOf(url, due, (seconds + 2 * lead) * 1000);
      const ticks = await secondsBetweenTicks(url);
      report.figure('timeliness: between two ticks', 's', spreadOf(ticks));
      report.figure('timeliness: p50 of timed out at − deadline', 's', spreadOf([percentile(lateness, 0.5)]));
      const p99 = percentile(lateness, 0.99);
      report.claim('timeliness: p99 of timed out at − deadline', 's', spreadOf([p99]), { atMost: 1.2 });
      report.figure('timeliness: all of timed out at − deadline', 's', spreadOf(lateness));
      const interval = spreadOf(ticks).median;
      report.figure('timeliness: p99 / the time between two ticks', '×', spreadOf([p99 / interval]));
      report.series(
        'lateness',
        SHARES.map((share) => [percentile(lateness, share), share * 100]),
      );
    } finally {
      await service.stop();
    }
    await server.drop(DATABASE);
  },
};

/** By the ledger, in seconds, once it has all of them. */
async function latenessOf(url: string, expected: number, withinMs: number): Promise<number[]> {
  const deadline = Date.now() + withinMs;
  return withClient(url, async (client) => {
    for (;;) {
      const { rows } = await client.query<{ lateness: number }>(
        `SELECT extract(epoch FROM timed_out_at - deadline)::float8 AS lateness FROM lapse.timeouts`,
      );
      if (rows.length === expected) {
        return rows.map(({ lateness }) => lateness);
      }
      if (Date.now() > deadline || rows.length > expected) {
        throw new Error(`${rows.length} executions were timed out; expected ${expected}`);
      }
      await delay(POLL_MS);
    }
  });
}

async function secondsBetweenTicks(url: string): Promise<number[]> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ seconds: number }>(
      `SELECT extract(epoch FROM started_at - lag(started_at) OVER (ORDER BY started_at))::float8 AS seconds
         FROM lapse.sweeps OFFSET 1`,
    );
    return rows.map(({ seconds }) => seconds);
  });
}
