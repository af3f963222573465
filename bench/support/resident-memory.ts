import { readFile, writeFile } from 'node:fs/promises';

const SAMPLE_MS = 50;

/** Resident memory of another process, read from /proc, in MB of 1024 × 1024 bytes. */
export async function residentMemory(pid: number): Promise<number> {
  return readStatus(pid, 'VmRSS');
}

/** The most that is resident while `work` goes on: the kernel's own record, where it may be begun anew, else samples. */
export async function peakMemoryWhile(pid: number, work: () => Promise<unknown>): Promise<number> {
  const kernelKeepsPeak = await writeFile(`/proc/${pid}/clear_refs`, '5').then(
    () => true,
    () => false,
  );
  let peak = 0;
  const sampling = setInterval(async () => {
    peak = Math.max(peak, await residentMemory(pid));
  }, SAMPLE_MS);
  try {
    await work();
  } finally {
    clearInterval(sampling);
  }
  return kernelKeepsPeak ? Math.max(peak, await readStatus(pid, 'VmHWM')) : peak;
}

async function readStatus(pid: number, what: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${what}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
}
