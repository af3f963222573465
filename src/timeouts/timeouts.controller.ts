import { Controller, Get, Param, Query, Req, type StreamableFile } from '@nestjs/common';
import { ApiExtraModels, ApiOkResponse, ApiOperation, ApiTags, getSchemaPath } from '@nestjs/swagger';
import type { Request } from 'express';
import { Caller, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import { csvFile, wantsCsv } from '../http/csv.js';
import { Problems } from '../http/problem.dto.js';
import { SweepIdParam } from '../sweeps/sweep-id.param.js';
import { ListTimeoutsQuery, type TimeoutDto, TimeoutPageDto } from './timeouts.dto.js';
import { TimeoutsService } from './timeouts.service.js';

const COLUMNS: (keyof TimeoutDto)[] = [
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

const ANSWER = {
  description: 'A page; as `text/csv` the whole list, for which `limit` and `cursor` mean nothing',
  content: {
    'application/json': { schema: { $ref: getSchemaPath(TimeoutPageDto) } },
    'text/csv': { schema: { type: 'string' } },
  },
} as const;

@ApiTags('Ledger')
@ApiExtraModels(TimeoutPageDto)
@Controller('v1')
export class TimeoutsController {
  constructor(private readonly timeouts: TimeoutsService) {}

  @Get('timeouts')
  @RequiresRole('viewer')
  @ApiOperation({
    operationId: 'listTimeouts',
    summary: 'The ledger: every execution that was timed out, newest first',
  })
  @ApiOkResponse(ANSWER)
  @Problems()
  async list(
    @Caller() caller: CallerOfRoute,
    @Query() query: ListTimeoutsQuery,
    @Req() request: Request,
  ): Promise<TimeoutPageDto | StreamableFile> {
    return wantsCsv(request)
      ? csvFile('timeouts', COLUMNS, await this.timeouts.all(caller, query))
      : this.timeouts.list(caller, query);
  }

  @Get('sweeps/:sweepId/timeouts')
  @RequiresRole('viewer')
  @ApiOperation({ operationId: 'listTimeoutsOfSweep', summary: 'The executions that one sweep has timed out' })
  @ApiOkResponse(ANSWER)
  @Problems()
  async listOfSweep(
    @Caller() caller: CallerOfRoute,
    @Param() { sweepId }: SweepIdParam,
    @Query() query: ListTimeoutsQuery,
    @Req() request: Request,
  ): Promise<TimeoutPageDto | StreamableFile> {
    return wantsCsv(request)
      ? csvFile(`timeouts-of-${sweepId}`, COLUMNS, await this.timeouts.all(caller, query, sweepId))
      : this.timeouts.list(caller, query, sweepId);
  }
}
