import { setTimeout as delay } from 'node:timers/promises';
import type { Measure } from '../measure.js';
import type { Report } from '../report/report.js';
import { assertDrained, type Backlog, createBacklog } from '../support/backlog.js';
import { builtService } from '../support/build-service.js';
import { CountingProxy } from '../support/counting-proxy.js';
import { TIMEOUT_SECONDS, warm, withClient } from '../support/fixture.js';
import { Service } from '../support/service.js';
import { ratiosOf, spreadOf } from '../support/statistics.js';

const COPY = 'lapse_bench_replicas';
const POLL_MS = 100;

type Sizes = Omit<Backlog, 'layout'> & {
  replicas: readonly number[];
  rounds: number;
  /** Seconds for which all replicas tick and find nothing. */
  idle: number;
};

interface Run {
  /** Executions timed out a second, from the first to the last. */
  rate: number;
  /** What each replica asked of the database each second, while one of them drained and while nothing was overdue. */
  whileOneDrains: number[];
  whileNothingIsOverdue: number[];
}

/** Replicas whose schedules all tick every second: what more of them bring, and what they cost. */
export const replicas: Measure<Sizes> = {
  full: {
    rows: 1_000_000,
    overdue: 100_000,
    waiting: 50_000,
    tenants: 1000,
    replicas: [1, 2, 4],
    rounds: 3,
    idle: 10,
  },
  quick: { rows: 20_000, overdue: 2_000, waiting: 1_000, tenants: 100, replicas: [1, 2], rounds: 1, idle: 1 },
  async take(server, sizes, report) {
    const backlog = { ...sizes, layout: 'one night' } as const;
    report.progress(`replicas: making ${sizes.rows} executions, ${sizes.overdue} of them overdue`);
    const template = await createBacklog(server, backlog);
    const main = await builtService();
    const runs = new Map(sizes.replicas.map((count) => [count, [] as Run[]]));
    for (let round = 1; round <= sizes.rounds; round += 1) {
      for (const count of sizes.replicas) {
        const url = await server.copy(template, COPY);
        await warm(url);
        const run = await drainWith(count, main, url, backlog, sizes.idle);
        runs.get(count)?.push(run);
        report.progress(`replicas, round ${round}: ${count}: ${Math.round(run.rate)} rows/s`);
      }
    }
    await server.drop(COPY);
    await server.drop(template);
    tell(runs, report);
  },
};

async function drainWith(count: number, main: string, url: string, backlog: Backlog, idle: number): Promise<Run> {
  const proxies = await Promise.all(Array.from({ length: count }, () => CountingProxy.start(url)));
  const environment = { LAPSE_SWEEP_CRON: '* * * * * *', LAPSE_APPROVAL_TIMEOUT: `${TIMEOUT_SECONDS}s` };
  const services = await Promise.all(proxies.map((proxy) => Service.start(main, proxy.url, environment)));
  try {
    reset(proxies);
    const began = performance.now();
    const rate = await rateOfDrain(url, backlog);
    const whileOneDrains = perSecond(proxies, (performance.now() - began) / 1000);
    // What follows the sweep: its housekeeping.
    await delay(Math.min(idle, 2) * 1000);
    reset(proxies);
    await delay(idle * 1000);
    const whileNothingIsOverdue = perSecond(proxies, idle);
    await assertDrained(url, backlog, { name: 'the service', keepsLedger: true, timedOut: backlog.overdue });
    return { rate, whileOneDrains, whileNothingIsOverdue };
  } finally {
    await Promise.all(services.map((service) => service.stop()));
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  }
}

/** By the sweeps on record, since the first tick comes when it comes. */
async function rateOfDrain(url: string, { overdue }: Backlog): Promise<number> {
  return withClient(url, async (client) => {
    for (;;) {
      const { rows } = await client.query(
        `SELECT sum(timed_out)::int AS done, sum(extract(epoch FROM finished_at - started_at))::float8 AS seconds
           FROM lapse.sweeps WHERE timed_out > 0 AND finished_at IS NOT NULL`,
      );
      if (rows[0].done === overdue) {
        return overdue / rows[0].seconds;
      }
      await delay(POLL_MS);
    }
  });
}

function reset(proxies: readonly CountingProxy[]): void {
  for (const proxy of proxies) {
    proxy.reset();
  }
}

function perSecond(proxies: readonly CountingProxy[], seconds: number): number[] {
  return proxies.map((proxy) => proxy.statements / seconds);
}

function tell(runs: ReadonlyMap<number, Run[]>, report: Report): void {
  const [[, one] = [1, []]] = runs;
  const rates = (of: Run[]) => of.map(({ rate }) => rate);
  for (const [count, of] of runs) {
    report.figure(`drain with ${named(count)}`, 'rows/s', spreadOf(rates(of)));
  }
  for (const [count, of] of [...runs].slice(1)) {
    report.figure(`drain with ${named(count)} / with one`, '×', ratiosOf(rates(of), rates(one)));
  }
  for (const [count, of] of [...runs].slice(1)) {
    // The busiest is the one that drains.
    const idlers = of.flatMap(({ whileOneDrains }) => [...whileOneDrains].sort((a, b) => a - b).slice(0, -1));
    report.figure(`statements of each that doesn't drain, of ${count}`, '/s', spreadOf(idlers));
  }
  for (const [count, of] of runs) {
    const all = of.map(({ whileNothingIsOverdue }) => whileNothingIsOverdue.reduce((sum, each) => sum + each, 0));
    report.figure(`statements of ${named(count)} together, nothing overdue`, '/s', spreadOf(all));
  }
}

function named(count: number): string {
  return count === 1 ? 'one replica' : `${count} replicas`;
}
