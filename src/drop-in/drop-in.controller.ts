import { Body, Controller, Get, HttpCode, Param, Post, Query, UseInterceptors } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Audited, Caller, RequiresCronSecret, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import { AnswersIfChanged } from '../http/conditional-get.interceptor.js';
import { RequiredBodyOfPlatform } from '../http/required-body.interceptor.js';
import {
  CleanupStaleBody,
  CleanupStaleDto,
  ConversationIdParam,
  CronCleanupStaleDto,
  DropInErrors,
  DropInPendingApprovalDto,
  PendingApprovalsQuery,
} from './drop-in.dto.js';
import { DropInService } from './drop-in.service.js';
import { HostHeaders, HostProject } from './host-headers.js';

@ApiTags('Drop-in')
@DropInErrors(400, 401, 429, 500, 503)
@Controller()
export class DropInController {
  constructor(private readonly dropIn: DropInService) {}

  @Post('run/api/workflows/cleanup-stale')
  @HttpCode(200)
  @RequiresRole('operator')
  @DropInErrors(403, 404)
  @Audited('sweep.request')
  @ApiOperation({
    operationId: 'cleanupStale',
    summary: "Time out the credential's tenant's overdue executions, oldest first",
    description: 'Members that are not known here are ignored. A credential that reaches one tenant may send no body.',
  })
  @HostHeaders({ project: 'optional' })
  @ApiBody({ type: CleanupStaleBody, required: true })
  @UseInterceptors(RequiredBodyOfPlatform)
  @ApiOkResponse({ type: CleanupStaleDto })
  cleanupStale(
    @Caller() caller: CallerOfRoute,
    @HostProject() projectId: string | undefined,
    @Body() body: CleanupStaleBody,
  ): Promise<CleanupStaleDto> {
    return this.dropIn.cleanUp(caller, projectId, body);
  }

  @Get('run/api/conversations/:conversationId/pending-approvals')
  @RequiresRole('viewer', { orEndUser: true })
  @DropInErrors(403, 404)
  @ApiOperation({
    operationId: 'pendingApprovals',
    summary: "What waits for approval in a conversation of the credential's tenant",
  })
  @HostHeaders({ project: 'optional' })
  @AnswersIfChanged()
  @ApiOkResponse({ type: DropInPendingApprovalDto })
  pendingApprovals(
    @Caller() caller: CallerOfRoute,
    @Param() { conversationId }: ConversationIdParam,
    @Query() { projectId }: PendingApprovalsQuery,
    @HostProject() narrowedTo: string | undefined,
  ): Promise<DropInPendingApprovalDto> {
    return this.dropIn.pendingApprovals(caller, { projectId, narrowedTo }, conversationId);
  }

  @Get('api/cron/cleanup-stale-workflows')
  @RequiresCronSecret()
  @Audited('sweep.request')
  @ApiOperation({
    operationId: 'cronCleanupStaleWorkflows',
    summary: 'Time out the 100 oldest overdue executions of the platform',
  })
  @HostHeaders({ project: 'optional' })
  @DropInErrors(404)
  @ApiOkResponse({ type: CronCleanupStaleDto })
  async cronCleanupStaleWorkflows(
    @Caller() caller: CallerOfRoute,
    @HostProject() projectId: string | undefined,
  ): Promise<CronCleanupStaleDto> {
    return { ok: true, ...(await this.dropIn.cleanUpAll(caller, projectId)) };
  }
}
