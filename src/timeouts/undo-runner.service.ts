import { Injectable } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import type { TenantScope } from '../access/tenant-scope.js';
import { Configuration } from '../config/configuration.js';
import { WatchedTable } from '../executions/watched-table.js';
import type { LockBusy } from '../locks/lock-options.js';
import { lockSignal } from '../locks/lock-signal.js';
import { WithAdvisoryLock } from '../locks/with-advisory-lock.decorator.js';
import { BatchRuns } from '../sweeps/batch-runs.service.js';
import type { SweepEntity, Trigger } from '../sweeps/sweep.entity.js';
import { SweepRecords } from '../sweeps/sweep-records.service.js';
import { ReopenJob } from './reopen-job.js';
import { ReopeningsRepository } from './reopenings.repository.js';
import type { UndoSelection } from './undo-selection.js';
import { UndoSelectionRepository } from './undo-selection.repository.js';

/** An undo, before it runs. */
export interface UndoPlan {
  trigger: Trigger;
  scope: TenantScope;
  selection: UndoSelection;
  /** What the record says of the timeouts: when they were, how many there are, and the longest timeout among them. */
  range: { from: string; to: string };
  expected: number;
  timeoutSeconds: number;
  /** Counts what would become of each, and changes nothing. */
  dryRun: boolean;
  /** Null only of a dry run. */
  reason: string | null;
  requestedBy: Caller;
  lockName: string;
}

/** Batches at a time: one more than a requested sweep, since each writes to two tables that are there. */
const PARTITIONS = 3;

/** Takes timeouts back, under a lock of its own, so that sweeps run meanwhile. */
@Injectable()
export class UndoRunner {
  constructor(
    private readonly runs: BatchRuns,
    private readonly configuration: Configuration,
    private readonly records: SweepRecords,
    private readonly watched: WatchedTable,
    private readonly reopenings: ReopeningsRepository,
    private readonly selections: UndoSelectionRepository,
  ) {}

  /**
   * @param onStarted is called with the undo's id once it is on record.
   * @returns the ended undo with its counts; LockBusy if another undo of the same timeouts runs.
   */
  @WithAdvisoryLock<[UndoPlan, ((undoId: string) => void)?]>({
    name: ({ lockName }) => lockName,
    onBusy: 'wait',
    waitFor: '5s',
  })
  async run(plan: UndoPlan, onStarted?: (undoId: string) => void): Promise<SweepEntity | LockBusy> {
    const { trigger, scope, selection, range, expected, timeoutSeconds, dryRun, reason, requestedBy, lockName } = plan;
    const { sweep, projectId, agentId } = selection;
    await this.watched.refresh();
    const record = {
      ...{ trigger, projectId, agentId, timeoutSeconds, reason, requestedBy, dryRun, lockName, limit: null },
      ...{ undoes: sweep?.id ?? null, undo: { ...range, expected } },
    };
    const { id, cutoff } = await this.records.begin(scope, record, requestedBy);
    onStarted?.(id);
    const signal = lockSignal();
    const undo = { id, scope, selection: { ...selection, cutoff }, by: requestedBy.principal.id, reason, dryRun };
    const job = new ReopenJob(this.reopenings, this.selections, undo);
    const limits = {
      batchSize: this.configuration.sweepBatchSize,
      partitions: PARTITIONS,
      limit: null,
      timeBudget: null,
      capacity: 'sweeps',
    } as const;
    return this.records.end(scope, id, signal, () => this.runs.run(job, { id, scope }, limits, signal));
  }
}
