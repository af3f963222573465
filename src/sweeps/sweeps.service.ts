import { Injectable, Logger } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { Caller } from '../access/principal.js';
import { TenantScope } from '../access/tenant-scope.js';
import { AuditLogService } from '../audit/audit-log.service.js';
import { Configuration } from '../config/configuration.js';
import type { Duration } from '../config/duration.js';
import { inShortTransaction, RECORD_LIMITS } from '../database/short-transaction.js';
import type { Page } from '../http/page.dto.js';
import { Pages } from '../http/pages.service.js';
import { LockBusy } from '../locks/lock-options.js';
import { asUnavailable, begin, waitFor } from './begun-sweep.js';
import { RequestedSweeps } from './requested-sweeps.service.js';
import type { SweepEntity, Trigger } from './sweep.entity.js';
import { SweepDto } from './sweep-answer.js';
import { SweepPauses } from './sweep-pauses.service.js';
import { type SweepPlan, sweepLockName } from './sweep-plan.js';
import { SweepRunner } from './sweep-runner.service.js';
import type { ListSweepsQuery, RequestSweepBody } from './sweeps.dto.js';
import { SweepBusyError, SweepNotFoundError, SweepNotRunningError } from './sweeps.errors.js';
import { SweepsRepository } from './sweeps.repository.js';

/** What somebody asks for: the rest of a plan is the service's to know. */
export type SweepRequest = Partial<
  Pick<SweepPlan, 'projectId' | 'agentId' | 'timeoutSeconds' | 'limit' | 'dryRun' | 'reason'>
>;

@Injectable()
export class SweepsService {
  private readonly logger = new Logger('Sweeps');

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly configuration: Configuration,
    private readonly runner: SweepRunner,
    private readonly requested: RequestedSweeps,
    private readonly sweeps: SweepsRepository,
    private readonly pauses: SweepPauses,
    private readonly auditLog: AuditLogService,
    private readonly pages: Pages,
  ) {}

  /** The sweep of one tick of the schedule, over the whole platform. LockBusy where another replica has taken it. */
  runScheduled(keepLockFor: Duration): Promise<SweepEntity | LockBusy> {
    return this.runner.run({
      ...this.plan('schedule', TenantScope.platform(), undefined, {}),
      timeBudget: this.configuration.sweepTimeBudget,
      capacity: 'schedule',
      keepLockFor,
    });
  }

  /**
   * Runs a sweep to its end. LockBusy where another sweep of the scope didn't end within a few seconds.
   *
   * @param onStarted is told the sweep's id once it is on record.
   * @throws TooManySweepsError, SweepsUnavailableError
   */
  async run(
    trigger: Trigger,
    caller: Caller,
    request: SweepRequest,
    onStarted?: (sweepId: string) => void,
  ): Promise<SweepEntity | LockBusy> {
    const plan = this.plan(trigger, caller.scope, caller, request);
    return this.requested.enter(plan.lockName, () => this.runner.run(plan, onStarted)).catch(asUnavailable);
  }

  /**
   * Begins a sweep, and waits for its end up to `waitSeconds`; it goes on in the background after that.
   *
   * @throws SweepBusyError, TooManySweepsError, SweepsUnavailableError
   */
  async request(caller: Caller, body: RequestSweepBody, waitSeconds: number): Promise<SweepDto> {
    const plan = this.plan('api', caller.scope, caller, body);
    return this.beginAndWait(caller, plan.lockName, (onStarted) => this.runner.run(plan, onStarted), waitSeconds);
  }

  /**
   * Waits up to `waitSeconds` for the end of a sweep that somebody begins here; it goes on in the background after that.
   *
   * @throws SweepBusyError, TooManySweepsError, SweepsUnavailableError
   */
  async beginAndWait(
    { scope }: Caller,
    lockName: string,
    run: (onStarted: (id: string) => void) => Promise<SweepEntity | LockBusy>,
    waitSeconds: number,
  ): Promise<SweepDto> {
    const begun = await begin((onStarted) => this.requested.enter(lockName, () => run(onStarted))).catch(asUnavailable);
    if (begun instanceof LockBusy) {
      throw new SweepBusyError(begun.holder);
    }
    await waitFor(begun, waitSeconds, (error) => this.logger.warn(`Sweep ${begun.id} broke off: ${error}`));
    return this.get(scope, begun.id);
  }

  /**
   * Whether a running sweep, of whatever trigger, leaves nothing to do for a request of this scope and timeout.
   *
   * @param timeoutSeconds of the request; LAPSE_APPROVAL_TIMEOUT unless given.
   */
  async isCovered(scope: TenantScope, timeoutSeconds = this.configuration.approvalTimeout / 1000): Promise<boolean> {
    return (await this.sweeps.findRunningThatCovers(scope, timeoutSeconds)) !== null;
  }

  /** @throws SweepNotFoundError */
  async get(scope: TenantScope, id: string): Promise<SweepDto> {
    const sweep = SweepDto.from(await this.find(scope, id));
    const [answer = sweep] = await this.pauses.addTo(scope, [sweep]);
    return answer;
  }

  /** @throws SweepNotFoundError */
  async find(scope: TenantScope, id: string): Promise<SweepEntity> {
    const sweep = await this.sweeps.find(scope, id);
    if (!sweep) {
      throw new SweepNotFoundError();
    }
    return sweep;
  }

  async list(caller: Caller, query: ListSweepsQuery): Promise<Page<SweepDto>> {
    const page = await this.pages.page(caller, query, {
      name: 'sweeps',
      rows: (limit, after) => this.sweeps.list(caller.scope, query, limit, after),
      positionOf: ({ position }) => position,
      toItem: SweepDto.from,
    });
    return { ...page, items: await this.pauses.addTo(caller.scope, page.items) };
  }

  /**
   * Asks a running sweep to stop after its batch, whichever replica runs it. Asking twice changes nothing.
   *
   * @throws SweepNotFoundError, SweepNotRunningError
   */
  async cancel(caller: Caller, id: string): Promise<SweepDto> {
    const { scope } = caller;
    return inShortTransaction(this.dataSource, RECORD_LIMITS, async (transaction) => {
      const isRunning = await this.sweeps.requestCancel(scope, id, transaction);
      const sweep = await this.sweeps.findIn(scope, id, transaction);
      if (!sweep) {
        throw new SweepNotFoundError();
      }
      if (!isRunning) {
        throw new SweepNotRunningError(sweep.status);
      }
      await this.auditLog.recordDone(caller, { target: id, details: {} }, transaction.manager);
      return SweepDto.from(sweep);
    });
  }

  private plan(
    trigger: Trigger,
    scope: TenantScope,
    requestedBy: Caller | undefined,
    request: SweepRequest,
  ): SweepPlan {
    const plan = {
      trigger,
      scope,
      requestedBy,
      projectId: request.projectId ?? null,
      agentId: request.agentId ?? null,
      timeoutSeconds: request.timeoutSeconds ?? this.configuration.approvalTimeout / 1000,
      limit: request.limit ?? null,
      dryRun: request.dryRun ?? false,
      reason: request.reason ?? null,
      timeBudget: null,
      capacity: 'sweeps',
      keepLockFor: '0ms',
    } as const;
    return { ...plan, lockName: sweepLockName(plan, this.configuration.approvalTimeout / 1000) };
  }
}
