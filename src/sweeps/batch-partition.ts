import { setTimeout as delay } from 'node:timers/promises';
import type { DataSource, QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { DatabaseBusyError } from '../database/database.errors.js';
import { inShortTransaction, type TransactionLimits } from '../database/short-transaction.js';
import {
  isLostToAnother,
  isServerTrouble,
  LOCK_NOT_AVAILABLE,
  QUERY_CANCELED,
  sqlStateOf,
} from '../database/sql-state.js';
import type { BatchItem, BatchJob, BatchMark, BatchOutcome, Failure } from './batch-job.js';
import type { SweepCountsRepository } from './sweep-counts.repository.js';
import { BatchCommittedError, UpdateSuppressedError } from './sweeps.errors.js';

/** Short, because a batch keeps its rows locked: a host that wants to change one of them waits for as long. */
export const BATCH_LIMITS = { statementTimeout: 2_000, lockTimeout: 1_000 } as const;

const MAX_ATTEMPTS = 5;
const FIRST_BACKOFF_MS = 200;

/** What a committed batch did. */
export interface ProcessedBatch extends BatchOutcome {
  /** The run is to stop after this batch. */
  cancelRequested: boolean;
  /** The failure that was recorded instead, of a batch of one. */
  failure?: Failure;
}

/** Runs batches of a job one after the other, each in a short transaction, and counts them in one row. */
export class BatchPartition<Item extends BatchItem> {
  private batch = 0;

  constructor(
    private readonly dataSource: DataSource,
    private readonly counts: SweepCountsRepository,
    private readonly job: BatchJob<Item>,
    /** The record of the run: its sweep or undo. */
    private readonly record: { id: string; scope: TenantScope },
    private readonly partition: number,
    private readonly limits: TransactionLimits,
    private readonly signal: AbortSignal,
  ) {}

  /**
   * Processes the items together, all or none.
   *
   * @throws whatever the database reports after several attempts; `isFaultOfItems` says whether smaller batches help.
   */
  process(items: readonly Item[]): Promise<ProcessedBatch> {
    return this.inBatch(async (mark, transaction) => {
      const processed = this.processItems(items, mark, transaction);
      // Sent right behind the batch, without waiting for its answer. If the batch fails, so does this, without saying why.
      const cancelRequested = this.isCancelRequested(transaction);
      cancelRequested.catch(() => undefined);
      return { ...complete(await processed), cancelRequested: await cancelRequested };
    });
  }

  /**
   * Processes one item, or records why it can't be done. Deferred constraints are checked here, where an error can still
   * be attributed to this item.
   *
   * @returns the failure that was recorded, besides the outcome.
   * @throws what is not the item's fault.
   */
  async processOne(item: Item): Promise<ProcessedBatch> {
    try {
      return await this.tryOne(item);
    } catch (error) {
      // Slow once may be anybody's fault: a checkpoint, a lock elsewhere. Slow twice in a row is this item's.
      if (sqlStateOf(error) !== QUERY_CANCELED && !isContention(error)) {
        throw error;
      }
      return this.tryOne(item, true);
    }
  }

  /** @throws what the statement reports without any item: then no item is at fault. */
  async assertStatementWorks(): Promise<void> {
    await this.process([]);
  }

  private tryOne(item: Item, isLastAttempt = false): Promise<ProcessedBatch> {
    return this.inBatch(async (mark, transaction) => {
      await transaction.query('SAVEPOINT item');
      try {
        const outcome = complete(await this.processItems([item], mark, transaction));
        await transaction.query('SET CONSTRAINTS ALL IMMEDIATE');
        return { ...outcome, cancelRequested: await this.isCancelRequested(transaction) };
      } catch (error) {
        const mayPass = sqlStateOf(error) === QUERY_CANCELED || isContention(error);
        if (!isFaultOfItems(error) || (mayPass && !isLastAttempt)) {
          throw error;
        }
        await transaction.query('ROLLBACK TO SAVEPOINT item');
        // Without any item the statement works: then it was this item. Otherwise this throws, and the run fails.
        await this.processItems([], mark, transaction);
        await transaction.query('ROLLBACK TO SAVEPOINT item');
        const failure = failureOf(error);
        const outcome = this.countedOnce(await this.job.recordFailure(item, failure, mark, transaction), mark);
        return { ...outcome, cancelRequested: await this.isCancelRequested(transaction), failure };
      }
    });
  }

  private async processItems(items: readonly Item[], mark: BatchMark, transaction: QueryRunner): Promise<BatchOutcome> {
    return this.countedOnce(await this.job.processBatch(items, mark, transaction), mark);
  }

  /** @throws BatchCommittedError, which rolls the batch back. */
  private countedOnce(outcome: BatchOutcome, mark: BatchMark): BatchOutcome {
    if (!outcome.counted) {
      throw new BatchCommittedError(this.record.id, mark);
    }
    return outcome;
  }

  /** Trouble of the server and contention pass: they are retried, and an unknown outcome is looked up first. */
  private async inBatch(
    work: (mark: BatchMark, transaction: QueryRunner) => Promise<ProcessedBatch>,
  ): Promise<ProcessedBatch> {
    this.batch += 1;
    const mark = { partition: this.partition, batch: this.batch };
    let isUnknown = false;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const committed = isUnknown ? await this.outcomeOf(mark) : undefined;
        if (committed) {
          return { ...committed, cancelRequested: false };
        }
        return await inShortTransaction(this.dataSource, this.limits, (transaction) => work(mark, transaction));
      } catch (error) {
        isUnknown ||= isServerError(error) || error instanceof BatchCommittedError;
        if ((!isServerError(error) && !isContention(error)) || attempt === MAX_ATTEMPTS) {
          throw error;
        }
        const backoffMs = FIRST_BACKOFF_MS * 2 ** (attempt - 1) * (0.5 + Math.random());
        await delay(backoffMs, undefined, { signal: this.signal }).catch(() => undefined);
      }
    }
  }

  private isCancelRequested(transaction: QueryRunner): Promise<boolean> {
    return this.counts.isCancelRequested(this.record.scope, this.record.id, transaction);
  }

  /** What the transaction with this mark did; undefined if it was not committed. */
  private outcomeOf(mark: BatchMark): Promise<BatchOutcome | undefined> {
    const { scope, id } = this.record;
    return this.counts.outcomeOf(scope, id, mark, this.limits.capacity ?? 'sweeps');
  }
}

/** Whether some item of the batch may be at fault, so that it makes sense to divide the batch. */
export function isFaultOfItems(error: unknown): boolean {
  return !isServerError(error);
}

/** Whether the batch took too long: a smaller one may not. */
export function isTooSlow(error: unknown): boolean {
  return sqlStateOf(error) === QUERY_CANCELED;
}

/** What PostgreSQL reported, with its SQLSTATE; cut, because triggers can be verbose. */
export function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  const sqlState = sqlStateOf(error) ?? null;
  return { sqlState, reason: (sqlState ? `${sqlState}: ${message}` : message).slice(0, 1000) };
}

/** @throws UpdateSuppressedError, which rolls the batch back. */
function complete(outcome: BatchOutcome): BatchOutcome {
  if (outcome.suppressed > 0) {
    throw new UpdateSuppressedError(outcome.suppressed);
  }
  return outcome;
}

/** An error without an SQLSTATE came from the connection. */
function isServerError(error: unknown): boolean {
  if (error instanceof UpdateSuppressedError) {
    return false;
  }
  const state = sqlStateOf(error);
  return state === undefined || isServerTrouble(state) || error instanceof DatabaseBusyError;
}

function isContention(error: unknown): boolean {
  return isLostToAnother(error) || sqlStateOf(error) === LOCK_NOT_AVAILABLE;
}
