import type { Capacity } from '../database/capacity.js';
import type { TransactionLimits } from '../database/short-transaction.js';
import type { BatchItem, BatchJob, Failing } from './batch-job.js';
import { BATCH_LIMITS, type BatchPartition, isFaultOfItems, isTooSlow } from './batch-partition.js';
import { type RunEnd, RunState } from './run-state.js';
import { TenantPass } from './tenant-pass.js';

/** Where a run ends at the latest, and what it may use. */
export interface RunLimits {
  /** Items in one transaction. */
  batchSize: number;
  /** Batches that are processed in parallel. */
  partitions: number;
  /** How many items it processes; null for all. */
  limit: number | null;
  /** In milliseconds, from the end of the first search; null for no limit. */
  timeBudget: number | null;
  capacity: Capacity;
}

/**
 * Keys that one search returns: few, so that neither reading nor parsing them holds anybody up. If searches are slow, because
 * each reads the whole table, there are fewer of them with more keys, some 200 bytes each.
 */
const PAGE_SIZE = 3_000;
const SLOW_PAGE_SIZE = 20_000;
const SLOW_SEARCH_MS = 200;

/** Share of the time budget that tenants with failing items, and retries, have at least. */
const FAILING_SHARE = 0.2;

/** How many of these shares one tenant with failing items may use up. */
const TENANT_SHARE = 0.25;

/**
 * Finds items, remembers their keys, and processes them in batches, each a short transaction. It has three passes, so
 * that nobody waits for a tenant whose items fail, hang or are slow:
 *
 * 1. Everything that is new, oldest first. If a batch fails, it is divided by tenant until one tenant's items fail alone;
 *    that tenant is set aside.
 * 2. The tenants that were set aside, one after the other, and those that kept failing in earlier runs. Here batches are
 *    divided until the failing item stands alone and is recorded.
 * 3. Items that failed in earlier runs and are due for another attempt.
 *
 * It keeps in memory only what may be lost: counts grow in the database.
 */
export class BatchRunner<Item extends BatchItem> {
  private readonly state: RunState;
  private readonly workers: BatchPartition<Item>[];
  private size: number;
  private pageSize = PAGE_SIZE;
  private queue: Item[] = [];
  private last: Item | null = null;
  private exhausted = false;
  private searching: Promise<void> | undefined;
  private failing: Failing = { due: [], waiting: [], hasRetries: false };
  private readonly setAside = new Map<string, Item[]>();

  constructor(
    private readonly job: BatchJob<Item>,
    createPartition: (number: number, limits: TransactionLimits) => BatchPartition<Item>,
    private readonly limits: RunLimits,
    private readonly signal: AbortSignal,
  ) {
    this.size = limits.batchSize;
    this.state = new RunState(limits, signal);
    const batchLimits = { ...BATCH_LIMITS, capacity: limits.capacity };
    this.workers = Array.from({ length: limits.partitions }, (_, number) => createPartition(number, batchLimits));
  }

  /** @throws whatever the database reports after several attempts, or reports of the statement rather than of an item. */
  async run(): Promise<RunEnd> {
    this.failing = await this.job.findFailing();
    await this.search();
    this.state.startClock();
    this.state.allow(1 - FAILING_SHARE);
    await this.inParallel((worker) => this.processNew(worker));
    this.state.allow(1);
    await this.processSetAside();
    await this.processRetries();
    return this.state.end;
  }

  /** If one worker fails, the others stop after their batch; the error is thrown once all have stopped. */
  private async inParallel(task: (worker: BatchPartition<Item>) => Promise<void>): Promise<void> {
    const outcomes = await Promise.allSettled(
      this.workers.map((worker) =>
        task(worker).catch((error: unknown) => {
          this.state.fail();
          throw error;
        }),
      ),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) {
      throw failed.reason;
    }
  }

  private async processNew(worker: BatchPartition<Item>): Promise<void> {
    while (!this.state.mustStop) {
      const items = await this.takeNew();
      if (items.length === 0) {
        return;
      }
      await this.processTogether(worker, items);
    }
  }

  private async takeNew(): Promise<Item[]> {
    while (this.queue.length === 0 && !this.exhausted) {
      // Workers that need items at the same time wait for one search.
      this.searching ??= this.search().finally(() => {
        this.searching = undefined;
      });
      await this.searching;
    }
    return this.queue.splice(0, Math.min(this.size, this.state.remaining));
  }

  private async search(): Promise<void> {
    const limit = Math.min(this.pageSize, this.state.remaining);
    const startedAt = performance.now();
    const exceptTenants = [...this.failing.due, ...this.failing.waiting, ...this.setAside.keys()];
    const found = await this.job.find({
      ...{ after: this.last, limit, tenantId: null, exceptTenants, newestFirst: false },
      signal: this.signal,
    });
    this.pageSize = performance.now() - startedAt > SLOW_SEARCH_MS ? SLOW_PAGE_SIZE : PAGE_SIZE;
    this.exhausted = found.length < limit;
    this.last = found.at(-1) ?? this.last;
    // Another worker may have put items back, or a tenant aside, while this one searched.
    this.queue.push(...found.filter(({ tenantId }) => !this.setAside.has(tenantId)));
  }

  /** Processes items of several tenants; if that fails, those of one half of the tenants, then of the other. */
  private async processTogether(worker: BatchPartition<Item>, items: Item[], isWhole = true): Promise<void> {
    if (this.state.mustStop) {
      return;
    }
    try {
      this.state.count(await worker.process(items));
    } catch (error) {
      if (!isFaultOfItems(error)) {
        throw error;
      }
      if (isTooSlow(error)) {
        this.size = Math.max(Math.ceil(items.length / 2), 1);
      } else if (isWhole) {
        await worker.assertStatementWorks();
      }
      const groups = groupsByTenant(items);
      if (groups.length === 1) {
        this.putAside(items, isTooSlow(error));
        return;
      }
      const middle = Math.ceil(groups.length / 2);
      await this.processTogether(worker, groups.slice(0, middle).flat(), false);
      await this.processTogether(worker, groups.slice(middle).flat(), false);
    }
  }

  /** A batch that was too slow gets another chance in halves, as long as it is large. */
  private putAside(items: Item[], tooSlow: boolean): void {
    const { tenantId } = items[0] as Item;
    if (tooSlow && items.length > this.limits.batchSize / 8 && !this.setAside.has(tenantId)) {
      this.queue.unshift(...items);
      return;
    }
    const others = this.queue.filter((item) => item.tenantId === tenantId);
    this.queue = this.queue.filter((item) => item.tenantId !== tenantId);
    this.setAside.set(tenantId, [...(this.setAside.get(tenantId) ?? []), ...items, ...others]);
  }

  private async processSetAside(): Promise<void> {
    const pass = this.tenantPass();
    for (const [tenantId, items] of shuffled([...this.setAside])) {
      await pass.process(tenantId, { items, find: 'oldest first' });
    }
    for (const tenantId of this.failing.due) {
      await pass.process(tenantId, { items: [], find: 'newest first' });
    }
  }

  private async processRetries(): Promise<void> {
    const { waiting, hasRetries } = this.failing;
    if (!hasRetries || this.state.mustStop) {
      return;
    }
    const pass = this.tenantPass();
    const items = (await this.job.findRetries()).filter(({ tenantId }) => !waiting.includes(tenantId));
    for (const group of groupsByTenant(items)) {
      await pass.process((group[0] as Item).tenantId, { items: group, find: 'nothing more' });
    }
  }

  private tenantPass(): TenantPass<Item> {
    const { timeBudget, batchSize } = this.limits;
    const timeout = timeBudget === null ? null : timeBudget * FAILING_SHARE * TENANT_SHARE;
    const worker = this.workers[0] as BatchPartition<Item>;
    return new TenantPass(this.job, worker, this.state, { batchSize, timeout }, this.signal);
  }
}

function groupsByTenant<Item extends BatchItem>(items: readonly Item[]): Item[][] {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(item.tenantId);
    if (group) {
      group.push(item);
    } else {
      groups.set(item.tenantId, [item]);
    }
  }
  return [...groups.values()];
}

/** In another order each time, so that no tenant is always the last. */
function shuffled<T>(values: T[]): T[] {
  return values
    .map((value) => ({ value, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ value }) => value);
}
