import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Caller, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import { AnswersIfChanged } from '../http/conditional-get.interceptor.js';
import { Problems } from '../http/problem.dto.js';
import { ConversationParams, PendingApprovalDto } from './pending-approvals.dto.js';
import { PendingApprovalsService } from './pending-approvals.service.js';

@ApiTags('Executions')
@Controller('v1/tenants/:tenantId/projects/:projectId/conversations/:conversationId/pending-approvals')
export class PendingApprovalsController {
  constructor(private readonly approvals: PendingApprovalsService) {}

  @Get()
  @RequiresRole('viewer', { orEndUser: true })
  @ApiOperation({
    operationId: 'getPendingApproval',
    summary: 'What waits for approval in a conversation; end users ask about their own',
  })
  @AnswersIfChanged()
  @ApiOkResponse({ type: PendingApprovalDto })
  @Problems()
  find(@Caller() caller: CallerOfRoute, @Param() conversation: ConversationParams): Promise<PendingApprovalDto> {
    return this.approvals.find(caller, conversation);
  }
}
