import type { BatchItem, BatchJob, Failure } from './batch-job.js';
import { type BatchPartition, isFaultOfItems } from './batch-partition.js';
import { BatchSize } from './batch-size.js';
import type { RunState } from './run-state.js';

/** After as many failures in a row, with the same SQLSTATE, a tenant is left alone for a while. */
const MAX_CONSECUTIVE_FAILURES = 50;
/** Or after failures in a row that took as long: a trigger that hangs costs seconds each time. */
const MAX_FAILING_MS = 15_000;

const PAGE_SIZE = 1_000;

/** Which of a tenant's items a pass processes: those it is given, then those it finds. */
export interface TenantItems<Item> {
  items: readonly Item[];
  find: 'oldest first' | 'newest first' | 'nothing more';
}

/**
 * Processes the items of one tenant at a time, some of which fail. A batch that fails is divided until the failing item
 * stands alone and is recorded; the others are processed.
 */
export class TenantPass<Item extends BatchItem> {
  constructor(
    private readonly job: BatchJob<Item>,
    private readonly worker: BatchPartition<Item>,
    private readonly state: RunState,
    /** `timeout`: milliseconds for each tenant; null for no limit. */
    private readonly limits: { batchSize: number; timeout: number | null },
    private readonly signal: AbortSignal,
  ) {}

  async process(tenantId: string, given: TenantItems<Item>): Promise<void> {
    const series = new FailureSeries();
    const size = new BatchSize(this.limits.batchSize);
    const deadline = performance.now() + (this.limits.timeout ?? Number.POSITIVE_INFINITY);
    let items = [...given.items];
    let last = items.at(-1) ?? null;
    let end: PassEnd = 'stopped';
    while (!this.state.mustStop && !series.isTooLong) {
      if (performance.now() >= deadline) {
        end = 'out of time';
        break;
      }
      if (items.length === 0) {
        items = await this.find(tenantId, last, given.find);
        last = items.at(-1) ?? last;
        if (items.length === 0) {
          end = 'nothing left';
          break;
        }
      }
      const batch = items.slice(0, Math.min(size.rows, this.state.remaining));
      if (await this.processBatch(batch, size, series)) {
        items.splice(0, batch.length);
      }
    }
    await this.judge(tenantId, series, given.find, end);
  }

  /** True if the batch is over: processed, or its one item recorded as failed. False if it has to be divided. */
  private async processBatch(batch: Item[], size: BatchSize, series: FailureSeries): Promise<boolean> {
    const startedAt = performance.now();
    try {
      const isOne = batch.length === 1;
      const outcome = isOne ? await this.worker.processOne(batch[0] as Item) : await this.worker.process(batch);
      this.state.count(outcome);
      if (outcome.failure) {
        series.failed(outcome.failure, performance.now() - startedAt);
        size.isolated();
      } else {
        series.succeeded();
        size.succeeded(batch.length);
      }
      return true;
    } catch (error) {
      if (batch.length === 1 || !isFaultOfItems(error)) {
        throw error;
      }
      series.took(performance.now() - startedAt);
      size.failed(batch.length);
      return false;
    }
  }

  private find(tenantId: string, after: Item | null, order: TenantItems<Item>['find']): Promise<Item[]> {
    if (order === 'nothing more') {
      return Promise.resolve([]);
    }
    const newestFirst = order === 'newest first';
    const { signal } = this;
    return this.job.find({ after, limit: PAGE_SIZE, tenantId, exceptTenants: [], newestFirst, signal });
  }

  /** Retries never keep a tenant's new items waiting. */
  private async judge(tenantId: string, series: FailureSeries, find: TenantItems<Item>['find'], end: PassEnd) {
    if (find === 'nothing more') {
      return;
    }
    if (find === 'newest first' && (series.hasSucceeded || end === 'nothing left')) {
      await this.job.recovered(tenantId);
    }
    if (series.last && (series.isTooLong || (end === 'out of time' && !series.hasSucceeded))) {
      await this.job.backOff(tenantId, series.last);
    }
  }
}

type PassEnd = 'nothing left' | 'out of time' | 'stopped';

/** The failures since the last success. */
class FailureSeries {
  last: Failure | undefined;
  hasSucceeded = false;
  private count = 0;
  private ms = 0;

  get isTooLong(): boolean {
    return this.count >= MAX_CONSECUTIVE_FAILURES || (this.count > 0 && this.ms >= MAX_FAILING_MS);
  }

  failed(failure: Failure, ms: number): void {
    this.count = this.last?.sqlState === failure.sqlState ? this.count + 1 : 1;
    this.last = failure;
    this.ms += ms;
  }

  /** Time that a divided batch took counts as well. */
  took(ms: number): void {
    this.ms += ms;
  }

  succeeded(): void {
    this.count = 0;
    this.ms = 0;
    this.hasSucceeded = true;
  }
}
