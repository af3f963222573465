import type { RunEnd } from './batched-run.js';
import type { Lane } from './lane.js';
import type { SweepPlan } from './sweep-plan.js';

/**
 * A drain that somebody asked for and waits for runs two batches at a time. The schedule has time, and takes one, which
 * the host feels less; so does a sweep with a limit, whose oldest first only one lane can keep.
 */
export function lanesOf(plan: SweepPlan): number {
  return plan.timeBudget === null && plan.limit === null ? 2 : 1;
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
