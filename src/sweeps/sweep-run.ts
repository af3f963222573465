import { setTimeout as delay } from 'node:timers/promises';
import type { DataSource, QueryRunner } from 'typeorm';
import { inShortTransaction } from '../database/short-transaction.js';
import { isServerTrouble, sqlStateOf } from '../database/sql-state.js';
import { BatchSize } from './batch-size.js';
import type { FailuresRepository } from './failures.repository.js';
import type {
  BatchResult,
  Due,
  DuePosition,
  Lane,
  OverdueExecutionsRepository,
  Place,
} from './overdue-executions.repository.js';
import type { SweepPlan } from './sweep-plan.js';
import { UpdateSuppressedError } from './sweeps.errors.js';

/** Short, because a batch keeps its rows locked: a host that approves one of them waits for as long. */
const LIMITS = { statementTimeout: 2_000, lockTimeout: 1_000 };
const MOST_TRIES = 5;
const FIRST_PAUSE_MS = 200;

/** What a run works with. */
export interface SweepTools {
  dataSource: DataSource;
  executions: OverdueExecutionsRepository;
  failures: FailuresRepository;
  batchSize: number;
}

/** Why a run ended. `done`: nothing is left, or the limit or the time budget is reached. */
export type RunEnd = 'done' | 'cancelled' | 'stopped';

/**
 * The course of one lane of a sweep: batch after batch from the oldest on, each a short transaction, until an end is
 * reached.
 *
 * What it keeps in memory is where it stands, nothing that must not be lost: counts grow in the database.
 */
export class SweepRun {
  private readonly startedAt = Date.now();
  private readonly size: BatchSize;
  private after: DuePosition | null = null;
  private remaining: number;
  private failedTries = 0;
  private exhausted = false;
  private cancelRequested = false;

  constructor(
    private readonly tools: SweepTools,
    private readonly plan: SweepPlan,
    private readonly sweepId: string,
    private readonly due: Due,
    private readonly lane: Lane,
    private readonly signal: AbortSignal,
  ) {
    this.size = new BatchSize(tools.batchSize);
    this.remaining = plan.limit ?? Number.POSITIVE_INFINITY;
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
      await (rows === 1 ? this.timeOutOne() : this.timeOutMany(rows));
      this.failedTries = 0;
    } catch (error) {
      await this.makeSmaller(rows, error);
    }
  }

  private async timeOutMany(rows: number): Promise<void> {
    const result = await inShortTransaction(this.tools.dataSource, LIMITS, (transaction) =>
      this.timeOut({ ...this.position(), limit: rows }, transaction),
    );
    this.exhausted = result.found < rows;
    this.advance(result);
    this.size.succeeded(rows);
  }

  /**
   * Times out the next execution, or records why it can't be. Which one it is stands fixed before it is tried, so that
   * no other can be blamed for it. Deferred constraints are checked here, where an error can still be told from others.
   * The run moves on only once it is committed: an execution whose commit failed is still the next one.
   */
  private async timeOutOne(): Promise<void> {
    const moveOn = await inShortTransaction(this.tools.dataSource, LIMITS, async (transaction) => {
      const next = await this.tools.executions.nextDue(this.plan.scope, this.due, this.position(), transaction);
      if (!next) {
        return () => {
          this.exhausted = true;
        };
      }
      await transaction.query('SAVEPOINT execution');
      try {
        const result = await this.timeOut({ only: next }, transaction);
        await transaction.query('SET CONSTRAINTS ALL IMMEDIATE');
        return () => {
          this.advance({ ...result, last: next });
          this.size.succeeded(1);
        };
      } catch (error) {
        return await this.blame(next, error, transaction);
      }
    });
    moveOn();
  }

  private async blame(execution: DuePosition, error: unknown, transaction: QueryRunner): Promise<() => void> {
    if (isDatabaseTrouble(error)) {
      throw error;
    }
    await transaction.query('ROLLBACK TO SAVEPOINT execution');
    // Without any row the statement works: then it was this row. Otherwise this throws, and the sweep fails.
    await this.timeOut({ ...this.position(), limit: 0 }, transaction);
    const failed = { execution, sweepId: this.sweepId, reason: reasonOf(error) };
    const { cancelRequested } = await this.tools.failures.record(this.plan.scope, failed, transaction);
    return () => {
      this.after = execution;
      this.remaining -= 1;
      this.cancelRequested = cancelRequested;
      this.size.isolated();
    };
  }

  private async timeOut(place: Place, transaction: QueryRunner): Promise<BatchResult> {
    const batch = { sweepId: this.sweepId, ...place };
    const result = await this.tools.executions.timeOut(this.plan.scope, this.due, batch, transaction);
    if (result.suppressed > 0) {
      throw new UpdateSuppressedError(result.suppressed);
    }
    return result;
  }

  private position(): { lane: Lane; after: DuePosition | null } {
    return { lane: this.lane, after: this.after };
  }

  private advance(result: BatchResult): void {
    this.after = result.last ?? this.after;
    this.remaining -= result.timedOut;
    this.cancelRequested = result.cancelRequested;
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
    return this.plan.timeBudget !== null && Date.now() - this.startedAt >= this.plan.timeBudget;
  }
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
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const state = sqlStateOf(error);
  return (state ? `${state}: ${message}` : message).slice(0, 1000);
}
