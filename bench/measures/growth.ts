import type { NestExpressApplication } from '@nestjs/platform-express';
import { Housekeeping } from '../../src/sweeps/housekeeping.service.js';
import { SweepsService } from '../../src/sweeps/sweeps.service.js';
import { TIME_OUT } from '../contenders/statements.js';
import type { Measure } from '../measure.js';
import type { Report } from '../report/report.js';
import { createExecutions, warm, withClient } from '../support/fixture.js';
import { ADMIN_KEY, OPERATOR, serveLapse } from '../support/lapse.js';
import type { BenchServer } from '../support/server.js';
import { ratiosOf, spreadOf, timed } from '../support/statistics.js';

/** How large a table is, in three ways; what is timed out each time is the same. */
interface Size {
  completed: number;
  waiting: number;
  tenants: number;
}

interface Sizes extends Size {
  /** How many are overdue whenever something is timed out. */
  overdue: number;
  /** What each of the three becomes while the other two stay. */
  grows: { [axis in keyof Size]?: readonly number[] };
  rounds: number;
  /** How often an idle tick, and a page, is timed in each round. */
  calls: number;
}

const NAMES: { [axis in keyof Size]: string } = {
  completed: 'rows that are completed',
  waiting: 'rows that wait',
  tenants: 'tenants',
};

/** All sizes of an axis stand beside each other and take turns, so that what disturbs the machine disturbs all alike. */
export const growth: Measure<Sizes> = {
  full: {
    completed: 1_000_000,
    waiting: 10_000,
    tenants: 1_000,
    overdue: 10_000,
    grows: {
      completed: [100_000, 1_000_000, 10_000_000],
      waiting: [10_000, 100_000, 1_000_000],
      tenants: [10, 300, 10_000],
    },
    rounds: 5,
    calls: 200,
  },
  quick: {
    completed: 5_000,
    waiting: 500,
    tenants: 20,
    overdue: 200,
    grows: { completed: [5_000, 10_000] },
    rounds: 1,
    calls: 20,
  },
  async take(server, sizes, report) {
    for (const [axis, grown] of Object.entries(sizes.grows)) {
      await growAlong(axis as keyof Size, grown, server, sizes, report);
    }
  },
};

async function growAlong(
  axis: keyof Size,
  grown: readonly number[],
  server: BenchServer,
  sizes: Sizes,
  report: Report,
): Promise<void> {
  const tables: GrownTable[] = [];
  try {
    for (const size of grown) {
      report.progress(`growth: making ${size} ${NAMES[axis]}`);
      tables.push(await GrownTable.create(server, { ...sizes, [axis]: size }, size));
    }
    for (const { name, time, claimed } of TIMINGS) {
      const times = tables.map((): number[] => []);
      // The first round warms up.
      for (let round = 0; round <= sizes.rounds; round += 1) {
        for (const [at, table] of tables.entries()) {
          const milliseconds = await time(table, sizes);
          if (round > 0) {
            times[at]?.push(milliseconds);
          }
        }
      }
      tell({ axis, name: name(sizes), claimed }, grown, times, report);
    }
  } finally {
    for (const table of tables) {
      await table.drop(server);
    }
  }
}

interface Timing {
  name(sizes: Sizes): string;
  /** In milliseconds. */
  time(table: GrownTable, sizes: Sizes): Promise<number>;
  /** Whether it is ours to keep it flat. */
  claimed: boolean;
}

/** What times out comes last: until then nothing is overdue by the service's own timeout. */
const TIMINGS: Timing[] = [
  { name: () => 'an idle tick', claimed: true, time: (table, { calls }) => medianOf(calls, () => table.tick()) },
  {
    name: () => 'a page of executions',
    claimed: true,
    time: (table, { calls }) => medianOf(calls, () => table.page()),
  },
  {
    name: ({ overdue }) => `a sweep of ${overdue.toLocaleString('en')}`,
    claimed: true,
    time: (table) => timed(() => table.sweep()),
  },
  {
    name: ({ overdue }) => `one bare UPDATE of ${overdue.toLocaleString('en')}`,
    claimed: false,
    time: (table) => timed(() => table.bareUpdate()),
  },
];

function tell(
  { axis, name, claimed }: { axis: keyof Size; name: string; claimed: boolean },
  sizes: readonly number[],
  times: readonly number[][],
  report: Report,
): void {
  for (const [at, size] of sizes.entries()) {
    report.figure(`${name}, ${size.toLocaleString('en')} ${NAMES[axis]}`, 'ms', spreadOf(times[at] ?? []));
  }
  const [smallest = [], largest = []] = [times[0], times.at(-1)];
  const [least = 0, most = 0] = [sizes[0], sizes.at(-1)];
  const growth = [
    `${name}, ${most.toLocaleString('en')} / ${least.toLocaleString('en')} ${NAMES[axis]}`,
    '×',
    ratiosOf(largest, smallest),
  ] as const;
  if (claimed) {
    report.claim(...growth, { atMost: 1.25 });
  } else {
    report.figure(...growth);
  }
  report.series(
    `${NAMES[axis]}: ${name}`,
    sizes.map((size, at) => [size, ratiosOf(times[at] ?? [], smallest).median]),
  );
}

async function medianOf(times: number, work: () => Promise<unknown>): Promise<number> {
  const figures: number[] = [];
  for (let time = 0; time < times; time += 1) {
    figures.push(await timed(work));
  }
  return spreadOf(figures).median;
}

const DAY = 86_400;

/**
 * A watched table whose backlog has a generation for each time that something is timed out, a day apart and oldest
 * first; with the service on it, by whose own timeout nothing is overdue.
 */
class GrownTable {
  private constructor(
    private readonly database: string,
    private readonly url: string,
    private readonly app: NestExpressApplication,
    private readonly overdue: number,
    private generationsLeft: number,
  ) {}

  static async create(server: BenchServer, sizes: Sizes, size: number): Promise<GrownTable> {
    const { completed, waiting, tenants, overdue } = sizes;
    const database = `lapse_bench_growth_${size}`;
    const generations = 2 * (sizes.rounds + 1);
    const forgotten = generations * overdue;
    const rows = forgotten + completed + waiting;
    const age = `CASE WHEN n <= ${forgotten} THEN ${generations + 1.5} - ceil(n / ${overdue}.0)
                      ELSE 0.4 * (${rows} - n) / ${rows} END`;
    const url = await createExecutions(server, database, {
      rows,
      tenants,
      status: `CASE WHEN n <= ${forgotten} OR n > ${rows - waiting} THEN 'suspended' ELSE 'completed' END`,
      since: `now() - interval '1 day' * (${age})`,
    });
    await warm(url);
    const app = await serveLapse(url, { LAPSE_APPROVAL_TIMEOUT: '400d' });
    return new GrownTable(database, url, app, overdue, generations);
  }

  async drop(server: BenchServer): Promise<void> {
    await this.app.close();
    await server.drop(this.database);
  }

  /** A tick of the schedule, but for the time for which it keeps the lock. */
  async tick(): Promise<void> {
    await this.app.get(SweepsService, { strict: false }).runScheduled('0s');
    await this.app.get(Housekeeping, { strict: false }).run();
  }

  async page(): Promise<void> {
    const url = `${(await this.app.getUrl()).replace('localhost', '127.0.0.1')}/v1/executions?limit=50`;
    const response = await fetch(url, { headers: { authorization: `Bearer ${ADMIN_KEY}` } });
    const { items } = (await response.json()) as { items?: unknown[] };
    if (items?.length !== 50) {
      throw new Error(`${url} answered ${response.status} with ${items?.length} executions`);
    }
  }

  async sweep(): Promise<void> {
    const request = { timeoutSeconds: this.nextGeneration(), reason: 'benchmark' };
    const sweep = await this.app.get(SweepsService, { strict: false }).run('api', OPERATOR, request);
    if (!('timedOut' in sweep) || sweep.timedOut !== this.overdue) {
      throw new Error(`The sweep ended with ${JSON.stringify(sweep)}; expected ${this.overdue} timed out`);
    }
  }

  async bareUpdate(): Promise<void> {
    const overdue = `status = 'suspended' AND updated_at <= now() - interval '${this.nextGeneration()} seconds'`;
    const { rowCount } = await withClient(this.url, (client) => client.query(`${TIME_OUT} WHERE ${overdue}`));
    if (rowCount !== this.overdue) {
      throw new Error(`The bare UPDATE changed ${rowCount} rows; expected ${this.overdue}`);
    }
  }

  /** @returns the timeout in seconds by which the oldest generation is overdue, and no younger one. */
  private nextGeneration(): number {
    this.generationsLeft -= 1;
    return (this.generationsLeft + 1) * DAY;
  }
}
