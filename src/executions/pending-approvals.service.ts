import { Injectable } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import { Configuration } from '../config/configuration.js';
import { rfc3339 } from '../database/moments.js';
import type { ApprovalDto, ConversationParams, PendingApprovalDto } from './pending-approvals.dto.js';
import { ConversationNotFoundError } from './pending-approvals.errors.js';
import { type LatestExecution, PendingApprovalsRepository } from './pending-approvals.repository.js';
import { toolCallIn } from './tool-approval.js';

/** An execution that waits, with what it waits for. */
type Waiting = LatestExecution & { approval: NonNullable<LatestExecution['approval']> };

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
  async find(caller: Caller, conversation: ConversationParams): Promise<PendingApprovalDto> {
    const waiting = await this.findWaiting(caller, conversation);
    return waiting ? { hasPending: true, approval: approvalIn(waiting) } : { hasPending: false };
  }

  /**
   * The newest execution of a conversation, if it waits for an approval that can be understood.
   *
   * @throws ConversationNotFoundError where there is none of that id, or it is another end user's.
   */
  async findWaiting({ scope, principal }: Caller, conversation: ConversationParams): Promise<Waiting | undefined> {
    const timeoutSeconds = this.configuration.approvalTimeout / 1000;
    const found = await this.conversations.findLatest(scope, conversation, principal.endUserId, timeoutSeconds);
    if (!found) {
      throw new ConversationNotFoundError();
    }
    const { approval } = found;
    return found.waits && approval ? { ...found, approval } : undefined;
  }
}

function approvalIn({ executionId, approval, suspendedSince, deadline }: Waiting): ApprovalDto {
  return {
    ...toolCallIn(approval),
    executionId,
    suspendedSince: rfc3339(suspendedSince),
    deadline: rfc3339(deadline),
  };
}
