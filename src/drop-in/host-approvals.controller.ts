import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Caller, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import { AnswersIfChanged } from '../http/conditional-get.interceptor.js';
import { ConversationIdParam } from './drop-in.dto.js';
import { DropInService } from './drop-in.service.js';
import { HostErrors, HostPendingApprovalDto } from './host-approvals.dto.js';
import { HostHeaders, HostProject } from './host-headers.js';

/** A route of the reference host, at its path and with its fields, errors included. */
@ApiTags('Drop-in')
@HostErrors(400, 401, 403, 404, 429, 500, 503)
@Controller('run/v1/conversations/:conversationId/pending-approvals')
export class HostApprovalsController {
  constructor(private readonly dropIn: DropInService) {}

  @Get()
  @RequiresRole('viewer', { orEndUser: true })
  @ApiOperation({
    operationId: 'hostPendingApprovals',
    summary: 'What waits for approval in a conversation, as the reference host answers it',
  })
  @HostHeaders({ project: 'required' })
  @AnswersIfChanged()
  @ApiOkResponse({ type: HostPendingApprovalDto })
  find(
    @Caller() caller: CallerOfRoute,
    @Param() { conversationId }: ConversationIdParam,
    @HostProject() projectId: string | undefined,
  ): Promise<HostPendingApprovalDto> {
    return this.dropIn.pendingApprovalsAsHost(caller, projectId, conversationId);
  }
}
