import { setTimeout as delay } from 'node:timers/promises';
import type { INestApplicationContext } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { TenantScope } from '../../src/access/tenant-scope.js';
import { OverdueExecutionsRepository } from '../../src/sweeps/overdue-executions.repository.js';
import { SweepsScheduler } from '../../src/sweeps/sweeps.scheduler.js';
import type { Measure } from '../measure.js';
import type { Report } from '../report/report.js';
import { CountingProxy } from '../support/counting-proxy.js';
import { createExecutions, TIMEOUT_SECONDS, warm } from '../support/fixture.js';
import { startLapse } from '../support/lapse.js';
import { type Spread, spreadOf, takeTurns } from '../support/statistics.js';

const DATABASE = 'lapse_bench_idle';
const WARM_UP = 200;
const SLICES = 10;

interface Sizes {
  /** Rows in the watched table; all are suspended and none is overdue: the most that can wait for nothing. */
  waiting: number;
  tenants: number;
  /** How often each of the queries is timed. */
  probes: number;
  /** Seconds between the last tick and the one that is counted as a scheduled one; 0 leaves it out. */
  quiet: number;
}

/** What it costs that everybody waits and nobody is overdue. */
export const idle: Measure<Sizes> = {
  full: { waiting: 1_000_000, tenants: 1000, probes: 3000, quiet: 60 },
  quick: { waiting: 20_000, tenants: 100, probes: 200, quiet: 0 },
  async take(server, sizes, report) {
    report.progress(`idle: making ${sizes.waiting} executions that wait`);
    const url = await createExecutions(server, DATABASE, {
      rows: sizes.waiting,
      tenants: sizes.tenants,
      status: `'suspended'`,
      since: `now() - (${sizes.waiting} - n) * interval '10 minutes' / ${sizes.waiting}`,
    });
    await warm(url);
    await measureProbe(url, sizes, report);
    await countRoundTrips(url, sizes, report);
    await server.drop(DATABASE);
  },
};

/** Both queries take turns over the same pool; what is compared is the medians. */
async function measureProbe(url: string, sizes: Sizes, report: Report): Promise<void> {
  const app = await startLapse(url);
  try {
    const dataSource = app.get<DataSource>(getDataSourceToken());
    const probe = await probeOf(app, dataSource);
    const selectOne = () => dataSource.query('SELECT 1');
    await takeTurns(selectOne, probe, WARM_UP);
    const slices: { one: number; other: number }[] = [];
    for (let slice = 0; slice < SLICES; slice += 1) {
      slices.push(await takeTurns(selectOne, probe, Math.ceil(sizes.probes / SLICES)));
    }
    report.figure('idle: SELECT 1', 'ms', spreadOf(slices.map(({ one }) => one)));
    report.figure('idle: the query that finds nothing', 'ms', spreadOf(slices.map(({ other }) => other)));
    const ratio: Spread = spreadOf(slices.map(({ one, other }) => other / one));
    report.claim('idle: the query that finds nothing / SELECT 1', '×', ratio, { atMost: 4 });
  } finally {
    await app.close();
  }
}

async function probeOf(app: INestApplicationContext, dataSource: DataSource): Promise<() => Promise<void>> {
  const executions = app.get(OverdueExecutionsRepository);
  const [{ cutoff }] = await dataSource.query(`SELECT statement_timestamp()::text AS cutoff`);
  const due = { projectId: null, agentId: null, timeoutSeconds: TIMEOUT_SECONDS, cutoff };
  return async () => {
    if (await executions.anyDue(TenantScope.platform(), due, 'schedule')) {
      throw new Error('Something is overdue; the idle measures want nothing to be');
    }
  };
}

/** Counted, not timed. The first tick connects and does what is due once an hour. */
async function countRoundTrips(url: string, sizes: Sizes, report: Report): Promise<void> {
  const proxy = await CountingProxy.start(url);
  const app = await startLapse(proxy.url);
  try {
    const tick = async (): Promise<number> => {
      proxy.reset();
      await app.get(SweepsScheduler).tick();
      return proxy.turns;
    };
    await tick();
    const turns = [await tick(), await tick(), await tick()];
    report.claim('idle: round trips of a tick', '', spreadOf(turns), { atMost: 12 });
    if (sizes.quiet > 0) {
      report.progress(`waiting ${sizes.quiet} s for the next tick, as the schedule does`);
      await delay(sizes.quiet * 1000);
      const connecting = spreadOf([await tick()]);
      report.figure(`idle: round trips of a tick after ${sizes.quiet} s, connecting included`, '', connecting);
      report.figure(`idle: connections that this tick opened`, '', spreadOf([proxy.connections]));
    }
  } finally {
    await app.close();
    await proxy.stop();
  }
}
