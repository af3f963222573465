import type { QueryRunner } from 'typeorm';
import type { BatchJob, BatchMark, BatchOutcome, Failing, Failure, Search } from './batch-job.js';
import type { FailuresRepository } from './failures.repository.js';
import type { Due, DueExecution, OverdueExecutionsRepository } from './overdue-executions.repository.js';
import type { SweepPlan } from './sweep-plan.js';

/** The job of a sweep: times out what is overdue, oldest first. */
export class TimeoutJob implements BatchJob<DueExecution> {
  constructor(
    private readonly executions: OverdueExecutionsRepository,
    private readonly failures: FailuresRepository,
    private readonly sweep: { id: string; plan: SweepPlan; due: Due },
  ) {}

  find(search: Search<DueExecution>): Promise<DueExecution[]> {
    const { plan, due } = this.sweep;
    const scope = search.tenantId === null ? plan.scope : plan.scope.narrowedTo(search.tenantId);
    return this.executions.find(scope, due, search, plan.capacity);
  }

  findRetries(): Promise<DueExecution[]> {
    const { plan, due } = this.sweep;
    return this.executions.findRetries(plan.scope, due, plan.capacity);
  }

  /** Only the schedule lets failing tenants wait: a person who requests a sweep wants them tried now. */
  async findFailing(): Promise<Failing> {
    const { plan, due } = this.sweep;
    const { tenants, hasRetries } = await this.failures.findFailing(plan.scope, due.cutoff, plan.capacity);
    const isDue = (tenant: { due: boolean }) => tenant.due || plan.trigger !== 'schedule';
    return {
      due: tenants.filter(isDue).map(({ tenantId }) => tenantId),
      waiting: tenants.filter((tenant) => !isDue(tenant)).map(({ tenantId }) => tenantId),
      hasRetries,
    };
  }

  processBatch(items: readonly DueExecution[], mark: BatchMark, transaction: QueryRunner): Promise<BatchOutcome> {
    const { id: sweepId, plan, due } = this.sweep;
    return this.executions.timeOut(plan.scope, due, { sweepId, mark, items }, transaction);
  }

  recordFailure(execution: DueExecution, failure: Failure, mark: BatchMark, transaction: QueryRunner) {
    const { id: sweepId, plan } = this.sweep;
    return this.failures.record(plan.scope, { execution, sweepId, mark, ...failure }, transaction);
  }

  backOff(tenantId: string, failure: Failure): Promise<void> {
    const { id, plan } = this.sweep;
    return this.failures.backOff(plan.scope.narrowedTo(tenantId), tenantId, id, failure, plan.capacity);
  }

  recovered(tenantId: string): Promise<void> {
    const { plan } = this.sweep;
    return this.failures.recovered(plan.scope.narrowedTo(tenantId), plan.capacity);
  }
}
