import { Logger } from '@nestjs/common';
import type { QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import type { BatchJob, BatchMark, BatchOutcome, Failing, Failure, Search } from '../sweeps/batch-job.js';
import type { FoundTimeout, ReopeningsRepository } from './reopenings.repository.js';
import type { UndoSelection } from './undo-selection.js';
import type { UndoSelectionRepository } from './undo-selection.repository.js';

/** An undo that is on record. */
export interface RecordedUndo {
  id: string;
  scope: TenantScope;
  selection: UndoSelection;
  by: string;
  /** Null only of a dry run. */
  reason: string | null;
  /** Counts what would become of each, and changes nothing. */
  dryRun: boolean;
}

/** The job of an undo: reopens what was timed out, in the same order. */
export class ReopenJob implements BatchJob<FoundTimeout> {
  private readonly logger = new Logger('Sweeps');

  constructor(
    private readonly reopenings: ReopeningsRepository,
    private readonly selections: UndoSelectionRepository,
    private readonly undo: RecordedUndo,
  ) {}

  find(search: Search<FoundTimeout>): Promise<FoundTimeout[]> {
    return this.selections.find(this.undo.scope, this.undo.selection, search);
  }

  /** A failure of an undo is final: another undo tries it again. */
  async findRetries(): Promise<FoundTimeout[]> {
    return [];
  }

  async findFailing(): Promise<Failing> {
    return { due: [], waiting: [], hasRetries: false };
  }

  async processBatch(items: readonly FoundTimeout[], mark: BatchMark, transaction: QueryRunner): Promise<BatchOutcome> {
    const { id, scope, by, reason, dryRun } = this.undo;
    const ids = items.map((item) => item.id);
    if (dryRun) {
      return this.selections.preview(scope, ids, { id, mark }, transaction);
    }
    const { found, suppressed, counted } = await this.reopenings.reopen(
      scope,
      ids,
      { by, reason: reason ?? '', undo: { id, mark } },
      transaction,
    );
    return { done: found, suppressed, counted };
  }

  recordFailure(item: FoundTimeout, { reason }: Failure, mark: BatchMark, transaction: QueryRunner) {
    const { id, scope } = this.undo;
    return this.reopenings.recordFailure(scope, { timeoutId: item.id, undo: { id, mark }, reason }, transaction);
  }

  async backOff(tenantId: string, { reason }: Failure): Promise<void> {
    this.logger.warn(
      `Undo ${this.undo.id}: executions of tenant ${tenantId} keep failing (${reason}); the rest of them is left as it is`,
    );
  }

  async recovered(): Promise<void> {}
}
