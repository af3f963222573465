import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import type { Principal } from '../access/principal.js';
import { TenantScope } from '../access/tenant-scope.js';
import { Configuration } from '../config/configuration.js';
import type { Duration } from '../config/duration.js';
import { decodeCursor, pageOf, UUID } from '../http/cursor.js';
import type { Page } from '../http/page.dto.js';
import { LockBusy } from '../locks/lock-options.js';
import { LockUnavailableError, ShuttingDownError } from '../locks/locks.errors.js';
import type { SweepEntity, Trigger } from './sweep.entity.js';
import type { SweepPlan } from './sweep-plan.js';
import { SweepRunner } from './sweep-runner.service.js';
import { type ListSweepsQuery, type RequestSweepBody, SweepDto } from './sweeps.dto.js';
import { SweepBusyError, SweepNotFoundError, SweepNotRunningError, SweepsUnavailableError } from './sweeps.errors.js';
import { SweepsRepository } from './sweeps.repository.js';

/** What somebody asks for: the rest of a plan is the service's to know. */
export type SweepRequest = Partial<
  Pick<SweepPlan, 'projectId' | 'agentId' | 'timeoutSeconds' | 'limit' | 'dryRun' | 'reason'>
>;

@Injectable()
export class SweepsService {
  private readonly logger = new Logger('Sweeps');

  constructor(
    private readonly configuration: Configuration,
    private readonly runner: SweepRunner,
    private readonly sweeps: SweepsRepository,
  ) {}

  /** The sweep of one tick of the schedule, over the whole platform. LockBusy where another replica has taken it. */
  runScheduled(keepLockFor: Duration): Promise<SweepEntity | LockBusy> {
    return this.runner.run({
      ...this.plan('schedule', TenantScope.platform(), 'schedule', {}),
      timeBudget: this.configuration.sweepTimeBudget,
      keepLockFor,
    });
  }

  /** Runs a sweep to its end. LockBusy where another sweep of the scope didn't end within a few seconds. */
  async run(
    trigger: Trigger,
    scope: TenantScope,
    requestedBy: string,
    request: SweepRequest,
  ): Promise<SweepEntity | LockBusy> {
    return this.runner.run(this.plan(trigger, scope, requestedBy, request)).catch(asProblem);
  }

  /**
   * Begins a sweep, and waits for its end up to `waitSeconds`; it goes on in the background after that.
   *
   * @throws SweepBusyError, SweepsUnavailableError, and TenantNotFoundError where the body names another tenant.
   */
  async request(caller: Principal, body: RequestSweepBody, waitSeconds: number): Promise<SweepDto> {
    const scope = caller.scope.narrowedTo(body.tenantId);
    const plan = this.plan('api', scope, caller.id, body);
    let run: Promise<SweepEntity | LockBusy> | undefined;
    const started = new Promise<string>((resolve, reject) => {
      run = this.runner.run(plan, resolve);
      run.then((outcome) => outcome instanceof LockBusy && reject(new SweepBusyError(outcome.holder)), reject);
    });
    const id = await started.catch(asProblem);
    const ended = run?.catch((error: unknown) => this.logger.warn(`Sweep ${id} broke off: ${error}`));
    const waited = new AbortController();
    await Promise.race([ended, delay(waitSeconds * 1000, undefined, { signal: waited.signal }).catch(() => undefined)]);
    waited.abort();
    return this.get(scope, id);
  }

  /** @throws SweepNotFoundError */
  async get(scope: TenantScope, id: string): Promise<SweepDto> {
    const sweep = await this.sweeps.find(scope, id);
    if (!sweep) {
      throw new SweepNotFoundError();
    }
    return SweepDto.from(sweep);
  }

  async list(scope: TenantScope, query: ListSweepsQuery): Promise<Page<SweepDto>> {
    const before = query.cursor === undefined ? undefined : decodeCursor(query.cursor, [UUID])[0];
    const found = await this.sweeps.list(scope.narrowedTo(query.tenantId), query, query.limit + 1, before);
    return pageOf(found, query.limit, SweepDto.from, ({ id }) => [id]);
  }

  /**
   * Asks a running sweep to stop after its batch, whichever replica runs it. Asking twice changes nothing.
   *
   * @throws SweepNotFoundError, SweepNotRunningError
   */
  async cancel(scope: TenantScope, id: string): Promise<SweepDto> {
    const asked = await this.sweeps.requestCancel(scope, id);
    const sweep = await this.get(scope, id);
    if (!asked) {
      throw new SweepNotRunningError(sweep.status);
    }
    return sweep;
  }

  private plan(trigger: Trigger, scope: TenantScope, requestedBy: string, request: SweepRequest): SweepPlan {
    return {
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
      keepLockFor: '0ms',
    };
  }
}

function asProblem(error: unknown): never {
  throw error instanceof LockUnavailableError || error instanceof ShuttingDownError
    ? new SweepsUnavailableError(error)
    : error;
}
