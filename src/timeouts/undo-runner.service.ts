import { Injectable } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import { TenantScope } from '../access/tenant-scope.js';
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

/** An undo, before it runs. */
export interface UndoPlan {
  trigger: Trigger;
  undone: SweepEntity;
  reason: string;
  requestedBy: Caller;
}

/** Batches at a time: one more than a requested sweep, since each writes to two tables that are there. */
const PARTITIONS = 3;

/** Takes back what one sweep has done, under a lock of its own: sweeps go on meanwhile. */
@Injectable()
export class UndoRunner {
  constructor(
    private readonly runs: BatchRuns,
    private readonly configuration: Configuration,
    private readonly records: SweepRecords,
    private readonly watched: WatchedTable,
    private readonly reopenings: ReopeningsRepository,
  ) {}

  /**
   * @param onStarted is told the undo's id once it is on record.
   * @returns the ended undo with its counts; LockBusy where the same sweep is being undone.
   */
  @WithAdvisoryLock<[UndoPlan, ((undoId: string) => void)?]>({
    name: ({ undone }) => undoLockName(undone),
    onBusy: 'wait',
    waitFor: '5s',
  })
  async run(plan: UndoPlan, onStarted?: (undoId: string) => void): Promise<SweepEntity | LockBusy> {
    const { trigger, undone, reason, requestedBy } = plan;
    const { projectId, agentId, timeoutSeconds } = undone;
    const scope = TenantScope.of(undone.tenantId);
    await this.watched.refresh();
    const record = {
      ...{ trigger, projectId, agentId, timeoutSeconds, reason, requestedBy },
      ...{ dryRun: false, limit: null, undoes: undone.id, lockName: undoLockName(undone) },
    };
    const { id } = await this.records.begin(scope, record, requestedBy);
    onStarted?.(id);
    const signal = lockSignal();
    const undo = { id, scope, sweepId: undone.id, by: requestedBy.principal.id, reason };
    const job = new ReopenJob(this.reopenings, undo);
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

export function undoLockName({ id }: SweepEntity): string {
  return `undo of sweep ${id}`;
}
