import { platform } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Measure } from '../measure.js';
import { assertDrained, type Backlog, createBacklog } from '../support/backlog.js';
import { builtService } from '../support/build-service.js';
import { TIMEOUT_SECONDS } from '../support/fixture.js';
import { peakMemoryWhile, residentMemory } from '../support/resident-memory.js';
import { Service } from '../support/service.js';
import { spreadOf } from '../support/statistics.js';

const COPY = 'lapse_bench_memory';
/** Longer than any execution of the benchmark has waited: a sweep that goes through everything and finds nothing. */
const NOTHING_IS_OVERDUE = 10 * 365 * 86_400;

type Sizes = Omit<Backlog, 'layout'> & {
  rounds: number;
  /** Seconds of rest before its memory counts as idle. */
  settle: number;
};

/** Resident memory of the built service before and while it drains, read from /proc. */
export const memory: Measure<Sizes> = {
  full: { rows: 2_000_000, overdue: 500_000, waiting: 50_000, tenants: 1000, rounds: 3, settle: 3 },
  quick: { rows: 20_000, overdue: 2_000, waiting: 1_000, tenants: 100, rounds: 1, settle: 0 },
  async take(server, sizes, report) {
    if (platform() !== 'linux') {
      report.progress('memory: not measured, because this system has no /proc');
      return;
    }
    const backlog = { ...sizes, layout: 'one night' } as const;
    report.progress(`memory: making ${sizes.rows} executions`);
    const template = await createBacklog(server, backlog);
    const idle: number[] = [];
    const growth: number[] = [];
    const main = await builtService();
    for (let round = 1; round <= sizes.rounds; round += 1) {
      const measured = await drainOnce(main, await server.copy(template, COPY), backlog, sizes.settle);
      idle.push(measured.idle);
      growth.push(measured.peak - measured.idle);
      report.progress(
        `memory, round ${round}: ${measured.idle.toFixed(1)} MB, ${measured.peak.toFixed(1)} MB at the peak`,
      );
    }
    await server.drop(COPY);
    await server.drop(template);
    report.figure('memory: resident, idle', 'MB', spreadOf(idle));
    report.claim('memory: growth while draining', 'MB', spreadOf(growth), { atMost: 40 });
  },
};

async function drainOnce(
  main: string,
  url: string,
  backlog: Backlog,
  settle: number,
): Promise<{ idle: number; peak: number }> {
  const service = await Service.start(main, url);
  try {
    await service.sweep(NOTHING_IS_OVERDUE);
    await delay(settle * 1000);
    const idle = await residentMemory(service.pid);
    const peak = await peakMemoryWhile(service.pid, () => service.sweep(TIMEOUT_SECONDS));
    await assertDrained(url, backlog, { name: 'the service', keepsLedger: true, timedOut: backlog.overdue });
    return { idle, peak };
  } finally {
    await service.stop();
  }
}
