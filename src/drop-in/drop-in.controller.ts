import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { Audited, Caller, RequiresCronSecret, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import { CleanupStaleBody, CleanupStaleDto, CronCleanupStaleDto, DropInErrorDto } from './drop-in.dto.js';
import { DropInService } from './drop-in.service.js';

@ApiTags('Drop-in')
@ApiResponse({ status: 401, type: DropInErrorDto })
@ApiResponse({ status: 503, type: DropInErrorDto })
@Controller()
export class DropInController {
  constructor(private readonly dropIn: DropInService) {}

  @Post('run/api/workflows/cleanup-stale')
  @HttpCode(200)
  @RequiresRole('operator')
  @Audited('sweep.request')
  @ApiOperation({
    operationId: 'cleanupStale',
    summary: "Time out the credential's tenant's overdue executions, oldest first",
  })
  @ApiBody({ type: CleanupStaleBody, required: false })
  @ApiOkResponse({ type: CleanupStaleDto })
  @ApiResponse({ status: 400, type: DropInErrorDto })
  @ApiResponse({ status: 403, type: DropInErrorDto })
  cleanupStale(@Caller() caller: CallerOfRoute, @Body() body: CleanupStaleBody): Promise<CleanupStaleDto> {
    return this.dropIn.cleanUp(caller, body);
  }

  @Get('api/cron/cleanup-stale-workflows')
  @RequiresCronSecret()
  @Audited('sweep.request')
  @ApiOperation({
    operationId: 'cronCleanupStaleWorkflows',
    summary: 'Time out the 100 oldest overdue executions of the platform',
  })
  @ApiOkResponse({ type: CronCleanupStaleDto })
  async cronCleanupStaleWorkflows(@Caller() caller: CallerOfRoute): Promise<CronCleanupStaleDto> {
    return { ok: true, ...(await this.dropIn.cleanUpAll(caller)) };
  }
}
