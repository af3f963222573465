import { Controller, Get, Param, Query, Req, type StreamableFile, UseInterceptors } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request } from 'express';
import { Caller, CallerScope, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import type { TenantScope } from '../access/tenant-scope.js';
import { answerList, ListResponse } from '../http/list-answer.js';
import { Problems } from '../http/problem.dto.js';
import { RawJsonBody } from '../http/raw-json.interceptor.js';
import { ExecutionDto, ExecutionPageDto, ExecutionParams, ListExecutionsQuery } from './executions.dto.js';
import { ExecutionsService } from './executions.service.js';

const CSV = {
  name: 'executions',
  columns: [
    'tenantId',
    'projectId',
    'id',
    'agentId',
    'conversationId',
    'requestId',
    'status',
    'suspendedSince',
    'deadline',
    'overdue',
    'pendingToolApproval.toolCallId',
    'pendingToolApproval.toolName',
    'pendingToolApproval.args',
    'pendingToolApproval.isDelegated',
    'pendingToolApproval.argsOmitted',
    'pendingToolApproval.argsBytes',
    'createdAt',
    'updatedAt',
  ],
};

@ApiTags('Executions')
@Controller('v1')
export class ExecutionsController {
  constructor(private readonly executions: ExecutionsService) {}

  @Get('executions')
  @RequiresRole('viewer')
  @ApiOperation({
    operationId: 'listExecutions',
    summary: 'Executions, by default those that wait, oldest suspended first',
    description:
      'A page can be shorter than `limit`, even empty, and be followed by others: where few executions match, each ' +
      'page looks at twenty thousand at most, at five thousand to find a tool, and for an id in five thousand projects. ' +
      'The list ends where `nextCursor` is null. Texts are cut after 1,000 ' +
      'characters, and `args` of more than 16 KiB are left out: ask for the execution by itself.',
  })
  @UseInterceptors(RawJsonBody)
  @ListResponse(ExecutionPageDto)
  @Problems()
  list(
    @Caller() caller: CallerOfRoute,
    @Query() query: ListExecutionsQuery,
    @Req() request: Request,
  ): Promise<ExecutionPageDto | StreamableFile> {
    return answerList(request, query, CSV, (page) => this.executions.list(caller, page));
  }

  @Get('tenants/:tenantId/projects/:projectId/executions/:executionId')
  @RequiresRole('viewer')
  @ApiOperation({ operationId: 'getExecution', summary: 'One execution, with its deadline and whether it is overdue' })
  @UseInterceptors(RawJsonBody)
  @ApiOkResponse({ type: ExecutionDto })
  @Problems()
  get(@CallerScope() scope: TenantScope, @Param() execution: ExecutionParams): Promise<ExecutionDto> {
    return this.executions.get(scope, execution);
  }
}
