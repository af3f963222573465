import { platform } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { buildService } from './build-service.js';
import { assertDrained } from './drain.js';
import { createDrainTemplate, TIMEOUT_SECONDS } from './fixture.js';
import type { Report } from './report.js';
import { peakMemoryWhile, residentMemory } from './resident-memory.js';
import type { BenchServer } from './server.js';
import { Service } from './service.js';
import type { Sizes } from './sizes.js';
import { spreadOf } from './statistics.js';

const COPY = 'lapse_bench_memory';
const SETTLE_MS = 3_000;
/** Longer than any execution of the benchmark has waited: a sweep that goes through everything and finds nothing. */
const NOTHING_IS_OVERDUE = 10 * 365 * 86_400;

/** Resident memory of the built service before and while it drains, read from /proc. */
export async function measureMemory(server: BenchServer, sizes: Sizes, report: Report): Promise<void> {
  if (platform() !== 'linux') {
    report.progress('memory: not measured, because this system has no /proc');
    return;
  }
  const template = await createDrainTemplate(server, sizes, 'one night');
  const idle: number[] = [];
  const growth: number[] = [];
  const build = await buildService();
  try {
    for (let round = 1; round <= sizes.rounds; round += 1) {
      const url = await server.copy(template, COPY);
      const measured = await drainOnce(build.main, url, sizes);
      idle.push(measured.idle);
      growth.push(measured.peak - measured.idle);
      report.progress(
        `memory, round ${round}: ${measured.idle.toFixed(1)} MB, ${measured.peak.toFixed(1)} MB at the peak`,
      );
    }
  } finally {
    await build.remove();
  }
  await server.drop(COPY);
  await server.drop(template);
  report.figure('memory: resident, idle', 'MB', spreadOf(idle));
  report.claim('memory: growth while draining', 'MB', spreadOf(growth), { atMost: 50 });
}

async function drainOnce(main: string, url: string, sizes: Sizes): Promise<{ idle: number; peak: number }> {
  const service = await Service.start(main, url);
  try {
    await service.sweep(NOTHING_IS_OVERDUE);
    await delay(SETTLE_MS);
    const idle = await residentMemory(service.pid);
    const peak = await peakMemoryWhile(service.pid, () => service.sweep(TIMEOUT_SECONDS));
    await assertDrained(url, { name: 'the service', keepsLedger: true }, sizes);
    return { idle, peak };
  } finally {
    await service.stop();
  }
}
