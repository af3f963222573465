import { Controller, Get, Query, Req, type StreamableFile } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request } from 'express';
import { Caller, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import { answerList, ListResponse } from '../http/list-answer.js';
import { Problems } from '../http/problem.dto.js';
import { FailurePageDto, ListFailuresQuery } from './failures.dto.js';
import { FailuresService } from './failures.service.js';

const CSV = {
  name: 'failures',
  columns: [
    'tenantId',
    'projectId',
    'executionId',
    'attempts',
    'firstFailedAt',
    'lastFailedAt',
    'nextTryAt',
    'lastReason',
    'lastSweepId',
  ],
};

@ApiTags('Sweeps')
@Controller('v1/failures')
export class FailuresController {
  constructor(private readonly failures: FailuresService) {}

  @Get()
  @RequiresRole('viewer')
  @ApiOperation({
    operationId: 'listFailures',
    summary: 'Executions that could not be timed out, with the last reason and the next try; longest failing first',
  })
  @ListResponse(FailurePageDto)
  @Problems()
  list(
    @Caller() caller: CallerOfRoute,
    @Query() query: ListFailuresQuery,
    @Req() request: Request,
  ): Promise<FailurePageDto | StreamableFile> {
    return answerList(request, query, CSV, (page) => this.failures.list(caller, page));
  }
}
