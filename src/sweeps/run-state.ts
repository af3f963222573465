import type { ProcessedBatch } from './batch-partition.js';

/** Why a run ended. `done`: nothing is left, or the limit or the time budget is reached. */
export type RunEnd = 'done' | 'cancelled' | 'stopped';

/** How far a run is and whether it goes on; all its workers share it. */
export class RunState {
  /** How many items may still be processed. */
  remaining: number;
  private cancelRequested = false;
  private failed = false;
  private startedAt = performance.now();
  private deadline = Number.POSITIVE_INFINITY;

  constructor(
    private readonly limits: { limit: number | null; timeBudget: number | null },
    private readonly signal: AbortSignal,
  ) {
    this.remaining = limits.limit ?? Number.POSITIVE_INFINITY;
  }

  get mustStop(): boolean {
    return (
      this.signal.aborted ||
      this.failed ||
      this.cancelRequested ||
      this.remaining <= 0 ||
      performance.now() >= this.deadline
    );
  }

  get end(): RunEnd {
    if (this.signal.aborted) {
      return 'stopped';
    }
    return this.cancelRequested ? 'cancelled' : 'done';
  }

  /** The time budget counts from now on. */
  startClock(): void {
    this.startedAt = performance.now();
  }

  /** Sets the deadline to a share of the time budget; a later pass has at least what this one leaves. */
  allow(share: number): void {
    if (this.limits.timeBudget !== null) {
      this.deadline = this.startedAt + this.limits.timeBudget * share;
    }
  }

  /** One worker failed: the others stop after their batch. */
  fail(): void {
    this.failed = true;
  }

  count({ done, cancelRequested }: ProcessedBatch): void {
    this.remaining -= done;
    this.cancelRequested ||= cancelRequested;
  }
}
