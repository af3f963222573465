import type { QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import type { BatchOutcome, BatchWork } from '../sweeps/batched-run.js';
import type { Place, Reopened, ReopeningsRepository } from './reopenings.repository.js';

/** The work of an undo: reopens what a sweep has timed out, in one lane, in the order in which it did; a position is a timeout's id. */
export class Undoing implements BatchWork<string> {
  constructor(
    private readonly reopenings: ReopeningsRepository,
    private readonly undo: { id: string; scope: TenantScope; by: string; reason: string } & Omit<Place, 'after'>,
  ) {}

  many(after: string | null, limit: number, transaction: QueryRunner): Promise<BatchOutcome<string>> {
    const { sweepId, lane } = this.undo;
    return this.reopen({ sweepId, lane, after, limit }, transaction);
  }

  next(after: string | null, transaction: QueryRunner): Promise<string | null> {
    const { scope, sweepId, lane } = this.undo;
    return this.reopenings.next(scope, { sweepId, lane, after }, transaction);
  }

  one(timeoutId: string, transaction: QueryRunner): Promise<BatchOutcome<string>> {
    return this.reopen({ timeoutId }, transaction);
  }

  blame(timeoutId: string, reason: string, transaction: QueryRunner): Promise<{ cancelRequested: boolean }> {
    const { scope, id: undoId } = this.undo;
    return this.reopenings.recordFailure(scope, { timeoutId, undoId, reason }, transaction);
  }

  private async reopen(which: Reopened, transaction: QueryRunner): Promise<BatchOutcome<string>> {
    const { scope, by, reason, id: undoId } = this.undo;
    const { found, last, suppressed, cancelRequested } = await this.reopenings.reopen(
      scope,
      which,
      { by, reason, undoId },
      transaction,
    );
    return { found, done: found, suppressed, last: last?.id ?? null, cancelRequested };
  }
}
