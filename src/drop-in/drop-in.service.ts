import { Injectable } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import { ConversationNotFoundError } from '../executions/pending-approvals.errors.js';
import { PendingApprovalsService } from '../executions/pending-approvals.service.js';
import { InvalidInputError } from '../http/problem.error.js';
import { RawJson } from '../http/raw-json.interceptor.js';
import { LockBusy } from '../locks/lock-options.js';
import type { Trigger } from '../sweeps/sweep.entity.js';
import { type SweepRequest, SweepsService } from '../sweeps/sweeps.service.js';
import type { CleanupStaleBody, CleanupStaleDto, DropInPendingApprovalDto } from './drop-in.dto.js';
import { CleanupBusyError, CleanupFailedError } from './drop-in.errors.js';
import type { HostPendingApprovalDto } from './host-approvals.dto.js';
import { PROJECT_HEADER } from './host-headers.js';

const CRON_LIMIT = 100;

/** Answers as the original service did, by sweeps of this one. */
@Injectable()
export class DropInService {
  constructor(
    private readonly sweeps: SweepsService,
    private readonly approvals: PendingApprovalsService,
  ) {}

  /** @param projectId only this project, if given. */
  cleanUp(
    caller: Caller,
    projectId: string | undefined,
    { timeoutMinutes, limit }: CleanupStaleBody,
  ): Promise<CleanupStaleDto> {
    const timeout = timeoutMinutes === undefined ? {} : { timeoutSeconds: timeoutMinutes * 60 };
    return this.sweep('api', caller, { ...projectOf(projectId), ...timeout, limit });
  }

  cleanUpAll(caller: Caller, projectId: string | undefined): Promise<CleanupStaleDto> {
    return this.sweep('cron', caller, { ...projectOf(projectId), limit: CRON_LIMIT });
  }

  /**
   * @throws InvalidInputError where neither the credential nor a header names the tenant, whose ids these are.
   * @throws ConversationNotFoundError
   */
  async pendingApprovals(
    caller: Caller,
    { projectId, narrowedTo = projectId }: { projectId: string; narrowedTo: string | undefined },
    conversationId: string,
  ): Promise<DropInPendingApprovalDto> {
    if (projectId !== narrowedTo) {
      throw new ConversationNotFoundError();
    }
    const conversation = { tenantId: tenantOf(caller), projectId, conversationId };
    const { approval } = await this.approvals.find(caller, conversation);
    if (!approval) {
      return { hasPending: false };
    }
    const { executionId, suspendedSince, deadline: _deadline, ...tool } = approval;
    return { hasPending: true, approval: { ...tool, workflowRunId: executionId, updatedAt: suspendedSince } };
  }

  /**
   * The same, field for field as the reference host answers. To the host an approval without a boolean `isDelegated` is
   * none.
   *
   * @throws InvalidInputError if tenant or project is not named.
   * @throws ConversationNotFoundError
   */
  async pendingApprovalsAsHost(
    caller: Caller,
    projectId: string | undefined,
    conversationId: string,
  ): Promise<HostPendingApprovalDto> {
    if (projectId === undefined) {
      throw new InvalidInputError([{ path: `header.${PROJECT_HEADER}`, message: 'is required' }]);
    }
    const conversation = { tenantId: tenantOf(caller), projectId, conversationId };
    const waiting = await this.approvals.findWaiting(caller, conversation);
    if (!waiting || waiting.approval.isDelegated === null) {
      return { hasPending: false };
    }
    const { approval, executionId, updatedAt } = waiting;
    const { toolCallId, toolName, args, isDelegated } = approval;
    return {
      hasPending: true,
      approval: {
        toolCallId,
        toolName,
        ...(args === null ? {} : { args: new RawJson(args) }),
        isDelegated: isDelegated as boolean,
        workflowRunId: executionId,
        updatedAt,
      },
    };
  }

  /**
   * Zero counts if a sweep that covers this one is running: it leaves nothing to do.
   *
   * @throws CleanupBusyError, CleanupFailedError: callers of these routes look at the status alone.
   */
  private async sweep(trigger: Trigger, caller: Caller, request: SweepRequest): Promise<CleanupStaleDto> {
    const sweep = await this.sweeps.run(trigger, caller, request);
    if (sweep instanceof LockBusy) {
      if (await this.sweeps.isCovered(caller.scope, request.timeoutSeconds)) {
        return { cleanedUp: 0, failed: 0, total: 0 };
      }
      throw new CleanupBusyError();
    }
    if (sweep.status !== 'succeeded' && sweep.status !== 'partial') {
      throw new CleanupFailedError(sweep);
    }
    const { timedOut, failed } = sweep;
    return { cleanedUp: timedOut, failed, total: timedOut + failed };
  }
}

/** @throws InvalidInputError */
function tenantOf({ scope }: Caller): string {
  if (scope.tenantId === null) {
    throw new InvalidInputError([
      { path: 'header.x-tenant-id', message: 'must name the tenant, since the credential is one of the platform' },
    ]);
  }
  return scope.tenantId;
}

function projectOf(projectId: string | undefined): Pick<SweepRequest, 'projectId'> {
  return projectId === undefined ? {} : { projectId };
}
