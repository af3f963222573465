import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { Caller } from '../access/principal.js';
import { TenantScope } from '../access/tenant-scope.js';
import { Configuration } from '../config/configuration.js';
import type { LockBusy } from '../locks/lock-options.js';
import { lockSignal } from '../locks/lock-signal.js';
import { WithAdvisoryLock } from '../locks/with-advisory-lock.decorator.js';
import { BatchedRun } from '../sweeps/batched-run.js';
import type { SweepEntity, Trigger } from '../sweeps/sweep.entity.js';
import { inLanes } from '../sweeps/sweep-lanes.js';
import { SweepRecords } from '../sweeps/sweep-records.service.js';
import { ReopeningsRepository } from './reopenings.repository.js';
import { Undoing } from './undoing.js';

/** An undo, before it runs. */
export interface UndoPlan {
  trigger: Trigger;
  undone: SweepEntity;
  reason: string;
  requestedBy: Caller;
}

/** Batches at a time: one more than a sweep that somebody waits for, since each writes to two tables that are there. */
const LANES = 3;

/** Takes back what one sweep has done, under a lock of its own: sweeps go on meanwhile. */
@Injectable()
export class UndoRunner {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly configuration: Configuration,
    private readonly records: SweepRecords,
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
    const record = {
      ...{ trigger, projectId, agentId, timeoutSeconds, reason, requestedBy },
      ...{ dryRun: false, limit: null, undoes: undone.id, lockName: undoLockName(undone) },
    };
    const { id } = await this.records.begin(scope, record, requestedBy);
    onStarted?.(id);
    const signal = lockSignal();
    const undo = { id, scope, sweepId: undone.id, by: requestedBy.principal.id, reason };
    const limits = { batchSize: this.configuration.sweepBatchSize, limit: null, timeBudget: null };
    return this.records.end(scope, id, signal, () =>
      inLanes(LANES, signal, (lane, laneSignal) => {
        const work = new Undoing(this.reopenings, { ...undo, lane });
        return new BatchedRun(this.dataSource, work, limits, laneSignal).toEnd();
      }),
    );
  }
}

function undoLockName({ id }: SweepEntity): string {
  return `undo of sweep ${id}`;
}
