import type { QueryRunner } from 'typeorm';

/** Something that a run processes: an overdue execution, or a timeout to take back. */
export interface BatchItem {
  tenantId: string;
}

/** Which items to find: the next `limit` after a position, in the order of the job. */
export interface Search<Item> {
  after: Item | null;
  limit: number;
  /** Only this tenant's; null for all in scope but those of `exceptTenants`. */
  tenantId: string | null;
  exceptTenants: readonly string[];
  newestFirst: boolean;
  /** Ends a search that takes long. */
  signal: AbortSignal;
}

/** Names one transaction of a run: batch number `batch` of the worker number `partition`. Batches count from 1. */
export interface BatchMark {
  partition: number;
  batch: number;
}

export interface BatchOutcome {
  /** How many items count towards a limit. */
  done: number;
  /** Claimed by us and yet unchanged: something in the host's table suppressed the update. */
  suppressed: number;
  /** False if a batch with the same mark has been committed before: then this one must not be. */
  counted: boolean;
}

/**
 * What a BatchRunner does with items. Every transaction counts what it did in the row of its partition, under its mark;
 * if that mark has been committed before, BatchPartition rolls the transaction back, so that a batch whose COMMIT was not
 * answered can't be done twice.
 */
export interface BatchJob<Item extends BatchItem> {
  /** Finding is not changing: it has its own, longer limit, and no error here is an item's fault. */
  find(search: Search<Item>): Promise<Item[]>;
  /** Items that failed in earlier runs and are due for another attempt, grouped by tenant. */
  findRetries(): Promise<Item[]>;
  /** What earlier runs left: it is processed after everything that is new. */
  findFailing(): Promise<Failing>;
  /** With no items it shows that the statement itself works. */
  processBatch(items: readonly Item[], mark: BatchMark, transaction: QueryRunner): Promise<BatchOutcome>;
  recordFailure(item: Item, failure: Failure, mark: BatchMark, transaction: QueryRunner): Promise<BatchOutcome>;
  /** Leaves a tenant alone for a while: each of its latest attempts failed with this error. */
  backOff(tenantId: string, failure: Failure): Promise<void>;
  /** Ends what `backOff` began: one of the tenant's items was processed, or none is left. */
  recovered(tenantId: string): Promise<void>;
}

export interface Failing {
  /** Tenants that kept failing and are due for another attempt. */
  due: string[];
  /** Tenants that are not yet due; a requested run has none. */
  waiting: string[];
  /** Whether `findRetries` finds anything. */
  hasRetries: boolean;
}

/** What PostgreSQL said. */
export interface Failure {
  /** SQLSTATE; null if an update was suppressed without an error. */
  sqlState: string | null;
  reason: string;
}
