import { setTimeout as delay } from 'node:timers/promises';
import { bareUpdate } from '../contenders/bare-update.js';
import type { Measure } from '../measure.js';
import type { Report } from '../report/report.js';
import { type Backlog, createBacklog } from '../support/backlog.js';
import { builtService } from '../support/build-service.js';
import { TIMEOUT_SECONDS, warm } from '../support/fixture.js';
import { Service } from '../support/service.js';
import { percentile, ratiosOf, spreadOf } from '../support/statistics.js';
import { SteadyHost } from '../support/steady-host.js';

const COPY = 'lapse_bench_neighbours';
const SHARES = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999];

type Sizes = Omit<Backlog, 'layout'> & {
  /** Updates a second. */
  host: number;
  /** Seconds for which the host is measured with nobody beside it. */
  alone: number;
  rounds: number;
  /** Seconds for which the host works before it is measured, and within which that is over and the service has started. */
  warmUp: number;
  lead: number;
};

/** What goes on beside the host while it is measured. */
interface Situation {
  name: string;
  prepare(url: string): Promise<Beside>;
}

interface Beside {
  /** @param begins is called when what is measured begins; it ends with the promise. */
  work(begins: () => void): Promise<unknown>;
  end?(): Promise<void>;
}

/** What the host that owns the watched table feels of a drain. */
export const neighbours: Measure<Sizes> = {
  full: {
    rows: 2_000_000,
    overdue: 100_000,
    waiting: 50_000,
    tenants: 1000,
    host: 500,
    alone: 10,
    rounds: 3,
    warmUp: 2,
    lead: 10,
  },
  quick: {
    rows: 20_000,
    overdue: 2_000,
    waiting: 1_000,
    tenants: 100,
    host: 200,
    alone: 1,
    rounds: 1,
    warmUp: 0.5,
    lead: 4,
  },
  async take(server, sizes, report) {
    report.progress(`neighbours: making ${sizes.rows} executions, ${sizes.overdue} of them overdue`);
    const template = await createBacklog(server, { ...sizes, layout: 'half a year' });
    const main = await builtService();
    const situations = situationsOf(main, sizes);
    const latencies = new Map(situations.map((situation) => [situation, [] as number[][]]));
    for (let round = 1; round <= sizes.rounds; round += 1) {
      for (const situation of situations) {
        const url = await server.copy(template, COPY);
        await warm(url);
        const measured = await hostBeside(situation, url, sizes);
        latencies.get(situation)?.push(measured);
        report.progress(
          `neighbours, round ${round}: the host ${situation.name}: ${measured.length} updates, ` +
            `p50 ${percentile(measured, 0.5).toFixed(2)} ms, p99 ${percentile(measured, 0.99).toFixed(2)} ms`,
        );
      }
    }
    await server.drop(COPY);
    await server.drop(template);
    tell([...latencies], report);
  },
};

/** Alone comes first: it is what the others are held against. */
function situationsOf(main: string, { alone, lead }: Sizes): Situation[] {
  return [
    {
      name: 'alone',
      prepare: async () => ({
        work: (begins) => {
          begins();
          return delay(alone * 1000);
        },
      }),
    },
    { name: 'beside a scheduled sweep', prepare: (url) => scheduledSweep(main, url, lead) },
    { name: 'beside a requested sweep', prepare: (url) => requestedSweep(main, url) },
    {
      name: 'beside one bare UPDATE',
      prepare: async (url) => ({
        work: (begins) => {
          begins();
          return bareUpdate.drain(url);
        },
      }),
    },
  ];
}

/** The schedule names one second of the day, so that the service has started and rests when its sweep begins. */
async function scheduledSweep(main: string, url: string, lead: number): Promise<Beside> {
  const begin = new Date((Math.ceil(Date.now() / 1000) + lead) * 1000);
  const cron = `${begin.getUTCSeconds()} ${begin.getUTCMinutes()} ${begin.getUTCHours()} * * *`;
  const service = await Service.start(main, url, {
    LAPSE_SWEEP_CRON: cron,
    LAPSE_APPROVAL_TIMEOUT: `${TIMEOUT_SECONDS}s`,
  });
  return {
    work: async (begins) => {
      await delay(begin.getTime() - Date.now());
      begins();
      await service.ended('/v1/sweeps?trigger=schedule');
    },
    end: () => service.stop(),
  };
}

async function requestedSweep(main: string, url: string): Promise<Beside> {
  const service = await Service.start(main, url);
  return {
    work: (begins) => {
      begins();
      return service.sweep(TIMEOUT_SECONDS);
    },
    end: () => service.stop(),
  };
}

/** @returns the latencies of the host's updates, in milliseconds. */
async function hostBeside(situation: Situation, url: string, { host: perSecond, warmUp }: Sizes): Promise<number[]> {
  const host = await SteadyHost.start(url, perSecond);
  let beside: Beside | undefined;
  try {
    beside = await situation.prepare(url);
    await delay(warmUp * 1000);
    await beside.work(() => host.beginMeasuring());
  } finally {
    await beside?.end?.();
    await host.stop();
  }
  return host.latencies;
}

function tell(measured: [Situation, number[][]][], report: Report): void {
  const [[, alone] = [undefined, []]] = measured;
  for (const share of [0.5, 0.99]) {
    const name = `p${share * 100}`;
    const of = (latencies: number[][]) => latencies.map((round) => percentile(round, share));
    for (const [situation, latencies] of measured) {
      report.figure(`the host ${situation.name}: ${name}`, 'ms', spreadOf(of(latencies)));
    }
    for (const [situation, latencies] of measured.slice(1)) {
      const line = [`the host ${situation.name} / alone: ${name}`, '×', ratiosOf(of(latencies), of(alone))] as const;
      if (situation.name.endsWith('sweep') && share === 0.99) {
        report.claim(...line, { atMost: 1.5 });
      } else {
        report.figure(...line);
      }
    }
  }
  for (const [situation, latencies] of measured) {
    report.series(
      situation.name,
      SHARES.map((share) => [share, spreadOf(latencies.map((round) => percentile(round, share))).median]),
    );
  }
}
