import { Controller, Get, Query, Req, type StreamableFile } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request } from 'express';
import { Caller, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import { answerList, ListResponse } from '../http/list-answer.js';
import { Problems } from '../http/problem.dto.js';
import { AuditRecordPageDto, ListAuditLogQuery } from './audit-log.dto.js';
import { AuditLogService } from './audit-log.service.js';

const CSV = {
  name: 'audit-log',
  columns: [
    'id',
    'at',
    'tenantId',
    'principalKind',
    'principalId',
    'address',
    'action',
    'target',
    'outcome',
    'code',
    'requestId',
    'details',
  ],
};

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
  @ListResponse(AuditRecordPageDto)
  @Problems()
  list(
    @Caller() caller: CallerOfRoute,
    @Query() query: ListAuditLogQuery,
    @Req() request: Request,
  ): Promise<AuditRecordPageDto | StreamableFile> {
    return answerList(request, query, CSV, (page) => this.auditLog.list(caller, page));
  }
}
