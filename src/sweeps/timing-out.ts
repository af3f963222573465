import type { QueryRunner } from 'typeorm';
import type { BatchOutcome, BatchWork } from './batched-run.js';
import type { FailuresRepository } from './failures.repository.js';
import type { Lane } from './lane.js';
import type { Due, DuePosition, OverdueExecutionsRepository, Place } from './overdue-executions.repository.js';
import type { SweepPlan } from './sweep-plan.js';

/** The work of a sweep: times out what is due in one lane, oldest first. */
export class TimingOut implements BatchWork<DuePosition> {
  constructor(
    private readonly executions: OverdueExecutionsRepository,
    private readonly failures: FailuresRepository,
    private readonly sweep: { id: string; scope: SweepPlan['scope']; due: Due; lane: Lane },
  ) {}

  many(after: DuePosition | null, limit: number, transaction: QueryRunner): Promise<BatchOutcome<DuePosition>> {
    return this.timeOut({ lane: this.sweep.lane, after, limit }, transaction);
  }

  next(after: DuePosition | null, transaction: QueryRunner): Promise<DuePosition | null> {
    const { scope, due, lane } = this.sweep;
    return this.executions.nextDue(scope, due, { lane, after }, transaction);
  }

  one(position: DuePosition, transaction: QueryRunner): Promise<BatchOutcome<DuePosition>> {
    return this.timeOut({ only: position }, transaction);
  }

  blame(execution: DuePosition, reason: string, transaction: QueryRunner): Promise<{ cancelRequested: boolean }> {
    return this.failures.record(this.sweep.scope, { execution, sweepId: this.sweep.id, reason }, transaction);
  }

  private async timeOut(place: Place, transaction: QueryRunner): Promise<BatchOutcome<DuePosition>> {
    const { id: sweepId, scope, due } = this.sweep;
    const { timedOut, ...batch } = await this.executions.timeOut(scope, due, { sweepId, ...place }, transaction);
    return { ...batch, done: timedOut };
  }
}
