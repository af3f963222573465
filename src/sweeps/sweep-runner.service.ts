import { Injectable } from '@nestjs/common';
import { Configuration } from '../config/configuration.js';
import { WatchedTable } from '../executions/watched-table.js';
import { LockBusy } from '../locks/lock-options.js';
import { lockSignal } from '../locks/lock-signal.js';
import { WithAdvisoryLock } from '../locks/with-advisory-lock.decorator.js';
import type { RunLimits } from './batch-runner.js';
import { BatchRuns } from './batch-runs.service.js';
import { FailuresRepository } from './failures.repository.js';
import { type Due, OverdueExecutionsRepository } from './overdue-executions.repository.js';
import type { RunEnd } from './run-state.js';
import type { SweepEntity } from './sweep.entity.js';
import type { SweepPlan } from './sweep-plan.js';
import { SweepRecords } from './sweep-records.service.js';
import { SweepsRepository } from './sweeps.repository.js';
import { TimeoutJob } from './timeout-job.js';

/** Counting only reads, so it may take longer than a batch. */
const COUNT_LIMITS = { statementTimeout: 120_000, lockTimeout: 1_000 } as const;

/** Runs one sweep from its first record to its last, under the lock of its scope. */
@Injectable()
export class SweepRunner {
  constructor(
    private readonly runs: BatchRuns,
    private readonly configuration: Configuration,
    private readonly watched: WatchedTable,
    private readonly records: SweepRecords,
    private readonly sweeps: SweepsRepository,
    private readonly executions: OverdueExecutionsRepository,
    private readonly failures: FailuresRepository,
  ) {}

  /**
   * @param onStarted is called with the sweep's id once it is on record.
   * @returns the ended sweep with its counts; LockBusy if another sweep of the scope runs.
   */
  @WithAdvisoryLock<[SweepPlan, ((sweepId: string) => void)?]>({
    name: (plan) => plan.lockName,
    onBusy: (plan) => (plan.trigger === 'schedule' ? 'skip' : 'wait'),
    waitFor: '5s',
    atLeast: (plan) => plan.keepLockFor,
  })
  async run(plan: SweepPlan, onStarted?: (sweepId: string) => void): Promise<SweepEntity | LockBusy> {
    const { scope, projectId, agentId, timeoutSeconds } = plan;
    await this.watched.refresh();
    const record = { ...plan, undoes: null };
    const { id, cutoff } = await this.records.begin(scope, record, plan.requestedBy);
    onStarted?.(id);
    const due = { projectId, agentId, timeoutSeconds, cutoff };
    const signal = lockSignal();
    return this.records.end(scope, id, signal, () =>
      plan.dryRun ? this.count(plan, id, due, signal) : this.timeOutAll(plan, id, due, signal),
    );
  }

  private async count(
    { scope, limit, capacity }: SweepPlan,
    id: string,
    due: Due,
    signal: AbortSignal,
  ): Promise<RunEnd> {
    const count = await this.executions.count(scope, due, limit, { ...COUNT_LIMITS, capacity, signal });
    await this.sweeps.countDryRun(scope, id, count);
    return 'done';
  }

  private async timeOutAll(plan: SweepPlan, id: string, due: Due, signal: AbortSignal): Promise<RunEnd> {
    const isFiltered = due.projectId !== null || due.agentId !== null;
    if (!isFiltered && !(await this.executions.anyDue(plan.scope, due, plan.capacity))) {
      return 'done';
    }
    const job = new TimeoutJob(this.executions, this.failures, { id, plan, due });
    return this.runs.run(job, { id, scope: plan.scope }, this.limitsOf(plan), signal);
  }

  /**
   * A requested sweep runs two batches at a time, because somebody waits for it. With a limit it runs one, because more
   * could not keep to the oldest first. So does the schedule, which has time: its batches are a quarter as large, since a
   * host that commits waits until what a batch has written is on the disk.
   */
  private limitsOf({ timeBudget, limit, capacity }: SweepPlan): RunLimits {
    const { sweepBatchSize } = this.configuration;
    const hasTime = timeBudget !== null;
    return {
      batchSize: hasTime ? Math.ceil(sweepBatchSize / 4) : sweepBatchSize,
      partitions: hasTime || limit !== null ? 1 : 2,
      limit,
      timeBudget,
      capacity,
    };
  }
}
