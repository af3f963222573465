import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Caller, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import { Problems } from '../http/problem.dto.js';
import { FailurePageDto, ListFailuresQuery } from './failures.dto.js';
import { FailuresService } from './failures.service.js';

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
  @ApiOkResponse({ type: FailurePageDto })
  @Problems()
  list(@Caller() caller: CallerOfRoute, @Query() query: ListFailuresQuery): Promise<FailurePageDto> {
    return this.failures.list(caller, query);
  }
}
