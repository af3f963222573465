import type { RunEnd } from './batched-run.js';
import type { Lane } from './lane.js';
import type { SweepPlan } from './sweep-plan.js';

/**
 * A drain that somebody asked for and waits for runs two batches at a time. A sweep with a limit runs one, because more
 * could not keep to the oldest first. So does the schedule, which has time: its batches are a quarter as large, since
 * whoever commits meanwhile waits until what a batch has written is on the disk.
 */
export function paceOf({ timeBudget, limit }: SweepPlan, largestBatch: number): { lanes: number; batchSize: number } {
  const hasTime = timeBudget !== null;
  return {
    lanes: hasTime || limit !== null ? 1 : 2,
    batchSize: hasTime ? Math.ceil(largestBatch / 4) : largestBatch,
  };
}

/**
 * Runs the lanes side by side until all have ended. Where one breaks off the others are told to stop, and its error is
 * the sweep's.
 */
export async function inLanes(
  count: number,
  signal: AbortSignal,
  run: (lane: Lane, signal: AbortSignal) => Promise<RunEnd>,
): Promise<RunEnd> {
  const broken = new AbortController();
  const laneSignal = AbortSignal.any([signal, broken.signal]);
  const outcomes = await Promise.allSettled(
    Array.from({ length: count }, (_, number) =>
      run({ number, of: count }, laneSignal).catch((error: unknown) => {
        broken.abort();
        throw error;
      }),
    ),
  );
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) {
    throw failed.reason;
  }
  const ends = outcomes.map((outcome) => (outcome as PromiseFulfilledResult<RunEnd>).value);
  return ends.find((end) => end !== 'done') ?? 'done';
}
