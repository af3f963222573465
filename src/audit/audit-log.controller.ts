import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Caller, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import { Problems } from '../http/problem.dto.js';
import { AuditRecordPageDto, ListAuditLogQuery } from './audit-log.dto.js';
import { AuditLogService } from './audit-log.service.js';

@ApiTags('Audit log')
@Controller('v1/audit-log')
export class AuditLogController {
  constructor(private readonly auditLog: AuditLogService) {}

  @Get()
  @RequiresRole('admin')
  @ApiOperation({
    operationId: 'listAuditLog',
    summary: 'Who did what, or was refused, when and from where; newest first',
  })
  @ApiOkResponse({ type: AuditRecordPageDto })
  @Problems()
  list(@Caller() caller: CallerOfRoute, @Query() query: ListAuditLogQuery): Promise<AuditRecordPageDto> {
    return this.auditLog.list(caller, query);
  }
}
