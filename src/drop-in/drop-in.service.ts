import { Injectable } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import { PendingApprovalsService } from '../executions/pending-approvals.service.js';
import { InvalidInputError } from '../http/problem.error.js';
import { LockBusy } from '../locks/lock-options.js';
import type { Trigger } from '../sweeps/sweep.entity.js';
import { type SweepRequest, SweepsService } from '../sweeps/sweeps.service.js';
import type { CleanupStaleBody, CleanupStaleDto, DropInPendingApprovalDto } from './drop-in.dto.js';
import { CleanupBusyError, CleanupFailedError } from './drop-in.errors.js';

const CRON_LIMIT = 100;

/** Answers as the original service did, by sweeps of this one. */
@Injectable()
export class DropInService {
  constructor(
    private readonly sweeps: SweepsService,
    private readonly approvals: PendingApprovalsService,
  ) {}

  cleanUp(caller: Caller, { timeoutMinutes, limit }: CleanupStaleBody): Promise<CleanupStaleDto> {
    return this.sweep('api', caller, { timeoutSeconds: timeoutMinutes * 60, limit });
  }

  cleanUpAll(caller: Caller): Promise<CleanupStaleDto> {
    return this.sweep('cron', caller, { limit: CRON_LIMIT });
  }

  /**
   * @throws InvalidInputError where neither the credential nor a header names the tenant, whose ids these are.
   * @throws ConversationNotFoundError
   */
  async pendingApprovals(caller: Caller, projectId: string, conversationId: string): Promise<DropInPendingApprovalDto> {
    const { tenantId } = caller.scope;
    if (tenantId === null) {
      throw new InvalidInputError([
        { path: 'header.x-tenant-id', message: 'must name the tenant, since the credential is one of the platform' },
      ]);
    }
    const { approval } = await this.approvals.find(caller, { tenantId, projectId, conversationId });
    if (!approval) {
      return { hasPending: false };
    }
    const { executionId, suspendedSince, deadline: _deadline, ...tool } = approval;
    return { hasPending: true, approval: { ...tool, workflowRunId: executionId, updatedAt: suspendedSince } };
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
