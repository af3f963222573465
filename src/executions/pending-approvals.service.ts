import { Injectable } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import { Configuration } from '../config/configuration.js';
import { rfc3339 } from '../database/moments.js';
import type { ApprovalDto, ConversationParams, PendingApprovalDto } from './pending-approvals.dto.js';
import { ConversationNotFoundError } from './pending-approvals.errors.js';
import { type LatestExecution, PendingApprovalsRepository } from './pending-approvals.repository.js';
import { toolCallIn } from './tool-approval.js';

@Injectable()
export class PendingApprovalsService {
  constructor(
    private readonly configuration: Configuration,
    private readonly conversations: PendingApprovalsRepository,
  ) {}

  /**
   * What the newest execution of a conversation waits for. Nothing where it isn't suspended, is overdue, or doesn't say
   * in a form that can be understood.
   *
   * @throws ConversationNotFoundError where there is none of that id, or it is another end user's.
   */
  async find({ scope, principal }: Caller, conversation: ConversationParams): Promise<PendingApprovalDto> {
    const timeoutSeconds = this.configuration.approvalTimeout / 1000;
    const found = await this.conversations.findLatest(scope, conversation, principal.endUserId, timeoutSeconds);
    if (!found) {
      throw new ConversationNotFoundError();
    }
    const approval = found.waits ? approvalIn(found) : undefined;
    return approval ? { hasPending: true, approval } : { hasPending: false };
  }
}

function approvalIn({ executionId, approval, suspendedSince, deadline }: LatestExecution): ApprovalDto | undefined {
  return approval === null
    ? undefined
    : {
        ...toolCallIn(approval),
        executionId,
        suspendedSince: rfc3339(suspendedSince),
        deadline: rfc3339(deadline),
      };
}
