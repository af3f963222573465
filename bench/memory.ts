import { readFile, writeFile } from 'node:fs/promises';
import { platform } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { buildService } from './build-service.js';
import { assertDrained } from './drain.js';
import { TIMEOUT_SECONDS } from './fixture.js';
import type { Report } from './report.js';
import type { BenchServer } from './server.js';
import { Service } from './service.js';
import type { Sizes } from './sizes.js';
import { spreadOf } from './statistics.js';

const COPY = 'lapse_bench_memory';
const SAMPLE_MS = 50;
const SETTLE_MS = 3_000;
/** Longer than any execution of the benchmark has waited: a sweep that goes through everything and finds nothing. */
const NOTHING_IS_OVERDUE = 10 * 365 * 86_400;

/** Resident memory of the built service before and while it drains, read from /proc. */
export async function measureMemory(
  server: BenchServer,
  template: string,
  sizes: Sizes,
  report: Report,
): Promise<void> {
  if (platform() !== 'linux') {
    report.progress('memory: not measured, because this system has no /proc');
    return;
  }
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
  report.figure('memory: resident, idle', 'MB', spreadOf(idle));
  report.claim('memory: growth while draining', 'MB', spreadOf(growth), { atMost: 50 });
}

async function drainOnce(main: string, url: string, sizes: Sizes): Promise<{ idle: number; peak: number }> {
  const service = await Service.start(main, url);
  try {
    await service.sweep(NOTHING_IS_OVERDUE);
    await delay(SETTLE_MS);
    const idle = await resident(service.pid, 'VmRSS');
    const kernelKeepsPeak = await forgetPeak(service.pid);
    const sampled = await peakWhile(service.pid, () => service.sweep(TIMEOUT_SECONDS));
    const peak = kernelKeepsPeak ? await resident(service.pid, 'VmHWM') : sampled;
    await assertDrained(url, { name: 'the service', keepsLedger: true }, sizes);
    return { idle, peak: Math.max(peak, sampled) };
  } finally {
    await service.stop();
  }
}

async function peakWhile(pid: number, work: () => Promise<unknown>): Promise<number> {
  let peak = 0;
  const sampling = setInterval(async () => {
    peak = Math.max(peak, await resident(pid, 'VmRSS'));
  }, SAMPLE_MS);
  try {
    await work();
  } finally {
    clearInterval(sampling);
  }
  return peak;
}

/** Makes the kernel's own record of the peak, which has no gaps, begin anew. @returns false where it may not be done. */
async function forgetPeak(pid: number): Promise<boolean> {
  return writeFile(`/proc/${pid}/clear_refs`, '5').then(
    () => true,
    () => false,
  );
}

/** In MB of 1024 × 1024 bytes. */
async function resident(pid: number, what: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${what}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
}
