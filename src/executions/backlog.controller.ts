import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { CallerScope, RequiresRole } from '../access/access.decorators.js';
import type { TenantScope } from '../access/tenant-scope.js';
import { Problems } from '../http/problem.dto.js';
import { BacklogDto, BacklogQuery } from './backlog.dto.js';
import { BacklogService } from './backlog.service.js';

@ApiTags('Executions')
@Controller('v1/backlog')
export class BacklogController {
  constructor(private readonly backlog: BacklogService) {}

  @Get()
  @RequiresRole('viewer')
  @ApiOperation({ operationId: 'getBacklog', summary: 'How many wait and for how long, and how many are overdue' })
  @ApiOkResponse({ type: BacklogDto })
  @Problems()
  get(@CallerScope() scope: TenantScope, @Query() _query: BacklogQuery): Promise<BacklogDto> {
    return this.backlog.get(scope);
  }
}
