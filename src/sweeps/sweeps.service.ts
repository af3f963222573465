import { Injectable, Logger } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { Caller } from '../access/principal.js';
import { TenantScope } from '../access/tenant-scope.js';
import { AuditLogService } from '../audit/audit-log.service.js';
import { Configuration } from '../config/configuration.js';
import type { Duration } from '../config/duration.js';
import type { BoundedRows } from '../database/bounded-page.js';
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
import { asShare, asWhole, largestShare, type ShareCounts, type VisibleSweep } from './sweep-share.js';
import { SweepSharesRepository } from './sweep-shares.repository.js';
import type { ListSweepsQuery, RequestSweepBody } from './sweeps.dto.js';
import { SweepBusyError, SweepNotFoundError, SweepNotRunningError } from './sweeps.errors.js';
import { type SweepRow, SweepsRepository } from './sweeps.repository.js';

/** What somebody asks for: the rest of a plan is the service's to know. */
export type SweepRequest = Partial<
  Pick<SweepPlan, 'projectId' | 'agentId' | 'timeoutSeconds' | 'limit' | 'dryRun' | 'reason'>
>;

/** Ledger rows that one page of a tenant's list may count at most, apart from those of its first sweep. */
const MAX_COUNTED = 200_000;

type VisibleRow = VisibleSweep & { position: readonly string[] };

@Injectable()
export class SweepsService {
  private readonly logger = new Logger('Sweeps');

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly configuration: Configuration,
    private readonly runner: SweepRunner,
    private readonly requested: RequestedSweeps,
    private readonly sweeps: SweepsRepository,
    private readonly shares: SweepSharesRepository,
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
    const sweep = this.answer(await this.find(scope, id));
    const [answer = sweep] = await this.pauses.addTo(scope, [sweep]);
    return answer;
  }

  /**
   * A sweep of the scope; for a tenant also its share of a sweep of the platform that touched it.
   *
   * @throws SweepNotFoundError
   */
  async find(scope: TenantScope, id: string): Promise<VisibleSweep> {
    const own = await this.sweeps.find(scope, id);
    if (own) {
      return asWhole(own);
    }
    const sweep = (await this.shares.hasTouched(scope, id)) && (await this.sweeps.find(TenantScope.platform(), id));
    if (!sweep) {
      throw new SweepNotFoundError();
    }
    const counts = await this.shares.count(scope, [id]);
    return asShare(sweep, scope.tenantId as string, counts.get(id) as ShareCounts);
  }

  /** A sweep as the API shows it. */
  answer(sweep: SweepEntity | VisibleSweep): SweepDto {
    const visible = 'shareOf' in sweep ? sweep : asWhole(sweep);
    return SweepDto.from(visible, this.configuration.approvalTimeout / 1000);
  }

  async list(caller: Caller, query: ListSweepsQuery): Promise<Page<SweepDto>> {
    const page = await this.pages.page(caller, query, {
      name: 'sweeps',
      rows: async (limit, after) =>
        this.withShares(caller.scope, await this.sweeps.list(caller.scope, query, limit, after)),
      positionOf: ({ position }) => position,
      toItem: (sweep: VisibleRow) => this.answer(sweep),
    });
    return { ...page, items: await this.pauses.addTo(caller.scope, page.items) };
  }

  /** A tenant's page of sweeps, with its share of the platform's. The page ends early if too much had to be counted. */
  private async withShares(
    scope: TenantScope,
    { rows, goesOnAfter }: BoundedRows<SweepRow>,
  ): Promise<BoundedRows<VisibleRow>> {
    const { tenantId } = scope;
    const isShare = (sweep: SweepEntity) => tenantId !== null && sweep.tenantId === null;
    let counted = 0;
    const end = rows.findIndex((sweep, at) => {
      counted += isShare(sweep) ? largestShare(sweep) : 0;
      return at > 0 && counted > MAX_COUNTED;
    });
    const kept = end === -1 ? rows : rows.slice(0, end);
    const ids = kept.filter(isShare).map(({ id }) => id);
    const counts = ids.length === 0 ? undefined : await this.shares.count(scope, ids);
    const visible = kept.map((sweep): VisibleRow => {
      const share = counts?.get(sweep.id);
      const { position } = sweep;
      return { ...(share ? asShare(sweep, tenantId as string, share) : asWhole(sweep)), position };
    });
    return { rows: visible, goesOnAfter: end === -1 ? goesOnAfter : kept.at(-1)?.position };
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
      return this.answer(sweep);
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
