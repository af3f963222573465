import { Controller, Get, Param, Query, Req, type StreamableFile } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request } from 'express';
import { Caller, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import { answerList, ListResponse } from '../http/list-answer.js';
import { Problems } from '../http/problem.dto.js';
import { SweepIdParam } from '../sweeps/sweep-id.param.js';
import { ListTimeoutsQuery, TimeoutPageDto } from './timeouts.dto.js';
import { TimeoutsService } from './timeouts.service.js';

const COLUMNS = [
  'id',
  'sweepId',
  'tenantId',
  'projectId',
  'executionId',
  'agentId',
  'conversationId',
  'toolCallId',
  'toolName',
  'suspendedSince',
  'deadline',
  'timedOutAt',
  'trigger',
  'resurrectedAt',
  'resurrectedStatus',
  'reopenedAt',
  'reopenedBy',
  'reopenReason',
  'undoId',
  'outcome',
  'failure',
];

@ApiTags('Ledger')
@Controller('v1')
export class TimeoutsController {
  constructor(private readonly timeouts: TimeoutsService) {}

  @Get('timeouts')
  @RequiresRole('viewer')
  @ApiOperation({
    operationId: 'listTimeouts',
    summary: 'The ledger: every execution that was timed out, newest first',
  })
  @ListResponse(TimeoutPageDto)
  @Problems()
  list(
    @Caller() caller: CallerOfRoute,
    @Query() query: ListTimeoutsQuery,
    @Req() request: Request,
  ): Promise<TimeoutPageDto | StreamableFile> {
    const csv = { name: 'timeouts', columns: COLUMNS };
    return answerList(request, query, csv, (page) => this.timeouts.list(caller, page));
  }

  @Get('sweeps/:sweepId/timeouts')
  @RequiresRole('viewer')
  @ApiOperation({ operationId: 'listTimeoutsOfSweep', summary: 'The executions that one sweep has timed out' })
  @ListResponse(TimeoutPageDto)
  @Problems()
  listOfSweep(
    @Caller() caller: CallerOfRoute,
    @Param() { sweepId }: SweepIdParam,
    @Query() query: ListTimeoutsQuery,
    @Req() request: Request,
  ): Promise<TimeoutPageDto | StreamableFile> {
    const csv = { name: `timeouts-of-${sweepId}`, columns: COLUMNS };
    return answerList(request, query, csv, (page) => this.timeouts.list(caller, page, sweepId));
  }
}
