import { bareUpdate, updateWithLedger } from '../contenders/bare-update.js';
import type { Contender } from '../contenders/contender.js';
import { graphileWorker } from '../contenders/graphile-worker.js';
import { knownWay, knownWayWithPause } from '../contenders/known-way.js';
import { lapse } from '../contenders/lapse.js';
import { pgBoss } from '../contenders/pg-boss.js';
import type { Measure } from '../measure.js';
import type { Report } from '../report/report.js';
import { type Backlog, createBacklog } from '../support/backlog.js';
import { warm } from '../support/fixture.js';
import type { BenchServer } from '../support/server.js';
import { ratiosOf, spreadOf } from '../support/statistics.js';

const COPY = 'lapse_bench_drain';
const CONTENDERS = [bareUpdate, updateWithLedger, lapse, knownWay, knownWayWithPause, pgBoss, graphileWorker];

interface Sizes {
  rows: number;
  waiting: number;
  tenants: number;
  rounds: number;
  backlogs: readonly Pick<Backlog, 'overdue' | 'layout'>[];
}

/** Contenders take turns, each on a fresh copy of the same files. */
export const drain: Measure<Sizes> = {
  full: {
    rows: 2_000_000,
    waiting: 50_000,
    tenants: 1000,
    rounds: 3,
    backlogs: [
      { overdue: 50_000, layout: 'half a year' },
      { overdue: 500_000, layout: 'one night' },
    ],
  },
  quick: { rows: 10_000, waiting: 500, tenants: 100, rounds: 1, backlogs: [{ overdue: 300, layout: 'half a year' }] },
  async take(server, { backlogs, ...sizes }, report) {
    for (const backlog of backlogs) {
      await drainBacklog(server, { ...sizes, ...backlog }, report);
    }
  },
};

async function drainBacklog(server: BenchServer, backlog: Backlog & { rounds: number }, report: Report): Promise<void> {
  const name = `drain of ${backlog.overdue.toLocaleString('en')} (${backlog.layout})`;
  report.progress(`${name}: making ${backlog.rows} rows`);
  const watched = await createBacklog(server, backlog);
  const templates = new Map<Contender, string>();
  for (const contender of CONTENDERS) {
    templates.set(contender, (await contender.createTemplate?.(server, backlog)) ?? watched);
  }
  const rates = new Map<Contender, number[]>(CONTENDERS.map((contender) => [contender, []]));
  for (let round = 1; round <= backlog.rounds; round += 1) {
    for (const [contender, template] of templates) {
      const url = await server.copy(template, COPY);
      await warm(url);
      const { milliseconds, timedOut } = await contender.drain(url);
      await contender.check(url, backlog, timedOut ?? backlog.overdue);
      const rate = (timedOut ?? backlog.overdue) / (milliseconds / 1000);
      rates.get(contender)?.push(rate);
      report.progress(`${name}, round ${round}: ${contender.name}: ${Math.round(rate)} rows/s`);
    }
  }
  await server.drop(COPY);
  for (const template of new Set(templates.values())) {
    await server.drop(template);
  }
  tell(name, rates, report);
}

function tell(name: string, rates: ReadonlyMap<Contender, number[]>, report: Report): void {
  const of = (contender: Contender) => rates.get(contender) ?? [];
  for (const contender of CONTENDERS) {
    report.figure(`${name}: ${contender.name}`, 'rows/s', spreadOf(of(contender)));
  }
  const against = (contender: Contender) => [`${name}: Lapse / ${contender.name}`, '×'] as const;
  const ratio = (contender: Contender) => ratiosOf(of(lapse), of(contender));
  report.claim(...against(bareUpdate), ratio(bareUpdate), { atLeast: 0.5 });
  report.claim(...against(updateWithLedger), ratio(updateWithLedger), { atLeast: 0.85 });
  report.claim(...against(knownWay), ratio(knownWay), { atLeast: 10 });
  for (const contender of [knownWayWithPause, pgBoss, graphileWorker]) {
    report.figure(...against(contender), ratio(contender));
  }
}
