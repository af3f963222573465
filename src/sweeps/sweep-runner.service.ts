import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { Configuration } from '../config/configuration.js';
import { inShortTransaction } from '../database/short-transaction.js';
import { LockBusy } from '../locks/lock-options.js';
import { lockSignal } from '../locks/lock-signal.js';
import { WithAdvisoryLock } from '../locks/with-advisory-lock.decorator.js';
import { BatchedRun, type RunEnd } from './batched-run.js';
import { FailuresRepository } from './failures.repository.js';
import { type Due, OverdueExecutionsRepository } from './overdue-executions.repository.js';
import type { SweepEntity } from './sweep.entity.js';
import { inLanes, paceOf } from './sweep-lanes.js';
import { type SweepPlan, sweepLockName } from './sweep-plan.js';
import { SweepRecords } from './sweep-records.service.js';
import { SweepsRepository } from './sweeps.repository.js';
import { TimingOut } from './timing-out.js';

/** Counting reads only, so it may take longer than a batch. */
const COUNT_LIMITS = { statementTimeout: 30_000, lockTimeout: 1_000 };

/** Runs one sweep from its first record to its last, under the lock of its scope. */
@Injectable()
export class SweepRunner {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly configuration: Configuration,
    private readonly records: SweepRecords,
    private readonly sweeps: SweepsRepository,
    private readonly executions: OverdueExecutionsRepository,
    private readonly failures: FailuresRepository,
  ) {}

  /**
   * @param onStarted is told the sweep's id once it is on record.
   * @returns the ended sweep with its counts; LockBusy where another sweep of the scope runs.
   */
  @WithAdvisoryLock<[SweepPlan, ((sweepId: string) => void)?]>({
    name: (plan) => sweepLockName(plan.scope),
    onBusy: (plan) => (plan.trigger === 'schedule' ? 'skip' : 'wait'),
    waitFor: '5s',
    atLeast: (plan) => plan.keepLockFor,
  })
  async run(plan: SweepPlan, onStarted?: (sweepId: string) => void): Promise<SweepEntity | LockBusy> {
    const { scope, projectId, agentId, timeoutSeconds } = plan;
    const record = { ...plan, lockName: sweepLockName(scope), undoes: null };
    const { id, cutoff } = await this.records.begin(scope, record, plan.requestedBy);
    onStarted?.(id);
    const due = { projectId, agentId, timeoutSeconds, cutoff };
    const signal = lockSignal();
    return this.records.end(scope, id, signal, () =>
      plan.dryRun ? this.count(plan, id, due) : this.timeOutAll(plan, id, due, signal),
    );
  }

  private async count(plan: SweepPlan, id: string, due: Due): Promise<RunEnd> {
    const count = await inShortTransaction(this.dataSource, COUNT_LIMITS, (transaction) =>
      this.executions.countDue(plan.scope, due, plan.limit, transaction),
    );
    await this.sweeps.countDryRun(plan.scope, id, count);
    return 'done';
  }

  private async timeOutAll(plan: SweepPlan, id: string, due: Due, signal: AbortSignal): Promise<RunEnd> {
    if (!(await this.executions.anyDue(plan.scope, due))) {
      return 'done';
    }
    const { lanes, batchSize } = paceOf(plan, this.configuration.sweepBatchSize);
    const limits = { batchSize, limit: plan.limit, timeBudget: plan.timeBudget };
    return inLanes(lanes, signal, (lane, laneSignal) => {
      const work = new TimingOut(this.executions, this.failures, { id, scope: plan.scope, due, lane });
      return new BatchedRun(this.dataSource, work, limits, laneSignal).toEnd();
    });
  }
}
