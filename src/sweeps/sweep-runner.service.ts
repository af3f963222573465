import { Injectable, Logger } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { AuditLogService } from '../audit/audit-log.service.js';
import { Configuration } from '../config/configuration.js';
import { inShortTransaction } from '../database/short-transaction.js';
import { LockBusy } from '../locks/lock-options.js';
import { lockSignal } from '../locks/lock-signal.js';
import { WithAdvisoryLock } from '../locks/with-advisory-lock.decorator.js';
import { FailuresRepository } from './failures.repository.js';
import { type Due, OverdueExecutionsRepository } from './overdue-executions.repository.js';
import { SweepEntity } from './sweep.entity.js';
import { inLanes, lanesOf } from './sweep-lanes.js';
import { type SweepPlan, sweepLockName } from './sweep-plan.js';
import { type RunEnd, SweepRun } from './sweep-run.js';
import { SweepsRepository } from './sweeps.repository.js';

/** Counting reads only, so it may take longer than a batch. */
const COUNT_LIMITS = { statementTimeout: 30_000, lockTimeout: 1_000 };

/** Runs one sweep from its first record to its last, under the lock of its scope. */
@Injectable()
export class SweepRunner {
  private readonly logger = new Logger('Sweeps');

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly configuration: Configuration,
    private readonly sweeps: SweepsRepository,
    private readonly executions: OverdueExecutionsRepository,
    private readonly failures: FailuresRepository,
    private readonly auditLog: AuditLogService,
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
    const { id, cutoff } = await this.start(plan);
    onStarted?.(id);
    const { projectId, agentId, timeoutSeconds } = plan;
    const { status, error } = await this.runToEnd(plan, id, { projectId, agentId, timeoutSeconds, cutoff });
    await this.sweeps.finish(plan.scope, id, status, error);
    const sweep = (await this.sweeps.find(plan.scope, id)) as SweepEntity;
    this.report(sweep);
    return sweep;
  }

  /** Whoever requested it is on the audit log in the same moment. */
  private async start(plan: SweepPlan): Promise<{ id: string; cutoff: string }> {
    const { scope, requestedBy, projectId, agentId, timeoutSeconds, limit, dryRun, reason } = plan;
    if (!requestedBy) {
      return this.sweeps.start(scope, plan);
    }
    return this.dataSource.transaction(async (transaction) => {
      const started = await this.sweeps.start(scope, plan, transaction);
      const details = { projectId, agentId, timeoutSeconds, limit, dryRun, reason };
      await this.auditLog.recordDone(requestedBy, { target: started.id, details }, transaction);
      return started;
    });
  }

  private async runToEnd(
    plan: SweepPlan,
    id: string,
    due: Due,
  ): Promise<{ status: SweepEntity['status']; error: string | null }> {
    const signal = lockSignal();
    try {
      const end = plan.dryRun ? await this.count(plan, id, due) : await this.timeOutAll(plan, id, due, signal);
      switch (end) {
        case 'done':
          return { status: 'succeeded', error: null };
        case 'cancelled':
          return { status: 'cancelled', error: null };
        case 'stopped':
          return { status: 'interrupted', error: (signal.reason as Error).message };
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { status: 'failed', error: message };
    }
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
    const { dataSource, executions, failures } = this;
    const tools = { dataSource, executions, failures, batchSize: this.configuration.sweepBatchSize };
    return inLanes(lanesOf(plan), signal, (lane, laneSignal) =>
      new SweepRun(tools, plan, id, due, lane, laneSignal).toEnd(),
    );
  }

  /** One readable line for a sweep that did something, or tried to. */
  private report(sweep: SweepEntity): void {
    const { timedOut, skipped, failed, status } = sweep;
    if (status === 'succeeded' && timedOut + skipped + failed === 0) {
      return;
    }
    const counts = [`timed out ${timedOut}`, skipped > 0 && `skipped ${skipped}`, failed > 0 && `failed ${failed}`];
    const took = (sweep.finishedAt?.getTime() ?? Date.now()) - sweep.startedAt.getTime();
    const line = [
      `${sweep.dryRun ? 'Dry run' : 'Sweep'} ${sweep.id} (${sweep.trigger}, ${sweep.tenantId ? `tenant ${sweep.tenantId}` : 'platform'})`,
      `${status} in ${took} ms:`,
      counts.filter(Boolean).join(', '),
      sweep.error ? `(${sweep.error})` : '',
    ];
    this.logger[status === 'succeeded' || status === 'cancelled' ? 'log' : 'warn'](line.join(' ').trim());
  }
}
