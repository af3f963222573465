import { setTimeout as delay } from 'node:timers/promises';
import type { DataSource, QueryRunner } from 'typeorm';
import { inShortTransaction } from '../database/short-transaction.js';
import { isServerTrouble, sqlStateOf } from '../database/sql-state.js';
import { BatchSize } from './batch-size.js';
import { UpdateSuppressedError } from './sweeps.errors.js';

/** Short, because a batch keeps its rows locked: a host that wants to change one of them waits for as long. */
const LIMITS = { statementTimeout: 2_000, lockTimeout: 1_000 };
const MOST_TRIES = 5;
const FIRST_PAUSE_MS = 200;

/**
 * What a run does with executions, batch after batch. Every statement counts what it did in the sweep's record, in the
 * same transaction.
 */
export interface BatchWork<Position> {
  /** Deals with the next `limit` after a position, null meaning the first; with 0 it shows that the statement works. */
  many(after: Position | null, limit: number, transaction: QueryRunner): Promise<BatchOutcome<Position>>;
  /** The one that comes next, without touching it; null where none is left. */
  next(after: Position | null, transaction: QueryRunner): Promise<Position | null>;
  one(position: Position, transaction: QueryRunner): Promise<BatchOutcome<Position>>;
  /** Records why it could not be done to this one. */
  blame(position: Position, reason: string, transaction: QueryRunner): Promise<{ cancelRequested: boolean }>;
}

export interface BatchOutcome<Position> {
  /** How many there were to deal with when the batch began. */
  found: number;
  /** How many of them count towards a limit. */
  done: number;
  /** Claimed by us and yet unchanged: something in the host's table suppressed the update. */
  suppressed: number;
  /** The last one that was found; null where none was. */
  last: Position | null;
  cancelRequested: boolean;
}

/** Where a run ends at the latest. */
export interface RunLimits {
  batchSize: number;
  /** Null: however many there are. */
  limit: number | null;
  /** In milliseconds; null: however long it takes. */
  timeBudget: number | null;
}

/** Why a run ended. `done`: nothing is left, or the limit or the time budget is reached. */
export type RunEnd = 'done' | 'cancelled' | 'stopped';

/**
 * Batch after batch, each a short transaction, until an end is reached. Where one fails, it is halved until the guilty
 * execution stands alone; that one's reason is recorded, and the others go on.
 *
 * What it keeps in memory is where it stands, nothing that must not be lost: counts grow in the database.
 */
export class BatchedRun<Position> {
  private readonly startedAt = Date.now();
  private readonly size: BatchSize;
  private after: Position | null = null;
  private remaining: number;
  private failedTries = 0;
  private exhausted = false;
  private cancelRequested = false;

  constructor(
    private readonly dataSource: DataSource,
    private readonly work: BatchWork<Position>,
    private readonly limits: RunLimits,
    private readonly signal: AbortSignal,
  ) {
    this.size = new BatchSize(limits.batchSize);
    this.remaining = limits.limit ?? Number.POSITIVE_INFINITY;
  }

  /** @throws whatever the database goes on saying after several tries, or says of the statement rather than of a row. */
  async toEnd(): Promise<RunEnd> {
    for (;;) {
      if (this.signal.aborted) {
        return 'stopped';
      }
      if (this.cancelRequested) {
        return 'cancelled';
      }
      if (this.exhausted || this.remaining <= 0 || this.isOverBudget()) {
        return 'done';
      }
      await this.step();
    }
  }

  private async step(): Promise<void> {
    const rows = Math.min(this.size.rows, this.remaining);
    try {
      await (rows === 1 ? this.dealWithOne() : this.dealWithMany(rows));
      this.failedTries = 0;
    } catch (error) {
      await this.makeSmaller(rows, error);
    }
  }

  private async dealWithMany(rows: number): Promise<void> {
    const outcome = await inShortTransaction(this.dataSource, LIMITS, async (transaction) =>
      complete(await this.work.many(this.after, rows, transaction)),
    );
    this.exhausted = outcome.found < rows;
    this.advance(outcome);
    this.size.succeeded(rows);
  }

  /**
   * Deals with the next execution, or records why it can't be done. Which one it is stands fixed before it is tried, so
   * that no other can be blamed for it. Deferred constraints are checked here, where an error can still be told from
   * others. The run moves on only once it is committed: an execution whose commit failed is still the next one.
   */
  private async dealWithOne(): Promise<void> {
    const moveOn = await inShortTransaction(this.dataSource, LIMITS, async (transaction) => {
      const next = await this.work.next(this.after, transaction);
      if (!next) {
        return () => {
          this.exhausted = true;
        };
      }
      await transaction.query('SAVEPOINT execution');
      try {
        const outcome = complete(await this.work.one(next, transaction));
        await transaction.query('SET CONSTRAINTS ALL IMMEDIATE');
        return () => {
          this.advance({ ...outcome, last: next });
          this.size.succeeded(1);
        };
      } catch (error) {
        return await this.blame(next, error, transaction);
      }
    });
    moveOn();
  }

  private async blame(execution: Position, error: unknown, transaction: QueryRunner): Promise<() => void> {
    if (isDatabaseTrouble(error)) {
      throw error;
    }
    await transaction.query('ROLLBACK TO SAVEPOINT execution');
    // Without any row the statement works: then it was this row. Otherwise this throws, and the sweep fails.
    await this.work.many(this.after, 0, transaction);
    const { cancelRequested } = await this.work.blame(execution, reasonOf(error), transaction);
    return () => {
      this.after = execution;
      this.remaining -= 1;
      this.cancelRequested = cancelRequested;
      this.size.isolated();
    };
  }

  private advance(outcome: BatchOutcome<Position>): void {
    this.after = outcome.last ?? this.after;
    this.remaining -= outcome.done;
    this.cancelRequested = outcome.cancelRequested;
  }

  private async makeSmaller(rows: number, error: unknown): Promise<void> {
    if (isDatabaseTrouble(error)) {
      this.failedTries += 1;
      if (this.failedTries > MOST_TRIES) {
        throw error;
      }
      const pause = FIRST_PAUSE_MS * 2 ** (this.failedTries - 1);
      await delay(pause, undefined, { signal: this.signal }).catch(() => undefined);
    } else if (rows === 1) {
      throw error;
    }
    this.size.failed(rows);
  }

  private isOverBudget(): boolean {
    return this.limits.timeBudget !== null && Date.now() - this.startedAt >= this.limits.timeBudget;
  }
}

/** @throws UpdateSuppressedError, which undoes the batch. */
function complete<Position>(outcome: BatchOutcome<Position>): BatchOutcome<Position> {
  if (outcome.suppressed > 0) {
    throw new UpdateSuppressedError(outcome.suppressed);
  }
  return outcome;
}

/** Not the fault of any row. An error without an SQLSTATE came from the connection. */
function isDatabaseTrouble(error: unknown): boolean {
  if (error instanceof UpdateSuppressedError) {
    return false;
  }
  const state = sqlStateOf(error);
  return state === undefined || isServerTrouble(state);
}

/** The server's own words with their SQLSTATE, cut where a trigger was talkative. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const state = sqlStateOf(error);
  return (state ? `${state}: ${message}` : message).slice(0, 1000);
}
