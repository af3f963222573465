import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query, Req, type StreamableFile } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request } from 'express';
import { answerList, ListResponse } from '../http/list-answer.js';
import { PageQuery } from '../http/page.dto.js';
import { Problems } from '../http/problem.dto.js';
import { Audited, Caller, RequiresRole } from './access.decorators.js';
import { ApiKeyIdParam, ApiKeyPageDto, CreateApiKeyBody, CreatedApiKeyDto } from './api-keys.dto.js';
import { ApiKeysService } from './api-keys.service.js';
import type { Caller as CallerOfRoute } from './principal.js';

const CSV = {
  name: 'api-keys',
  columns: [
    'id',
    'publicId',
    'name',
    'tenantId',
    'role',
    'createdBy',
    'createdAt',
    'expiresAt',
    'lastUsedAt',
    'revokedAt',
  ],
};

@ApiTags('API keys')
@Controller('v1/api-keys')
export class ApiKeysController {
  constructor(private readonly keys: ApiKeysService) {}

  @Post()
  @RequiresRole('admin')
  @Audited('api-key.create')
  @ApiOperation({ operationId: 'createApiKey', summary: 'Make an API key; its secret is shown this once' })
  @ApiCreatedResponse({ type: CreatedApiKeyDto })
  @Problems()
  create(@Caller() caller: CallerOfRoute, @Body() body: CreateApiKeyBody): Promise<CreatedApiKeyDto> {
    return this.keys.create(caller, body);
  }

  @Get()
  @RequiresRole('admin')
  @ApiOperation({ operationId: 'listApiKeys', summary: 'API keys, newest first' })
  @ListResponse(ApiKeyPageDto)
  @Problems()
  list(
    @Caller() caller: CallerOfRoute,
    @Query() query: PageQuery,
    @Req() request: Request,
  ): Promise<ApiKeyPageDto | StreamableFile> {
    return answerList(request, query, CSV, (page) => this.keys.list(caller, page));
  }

  @Delete(':keyId')
  @HttpCode(204)
  @RequiresRole('admin')
  @Audited('api-key.revoke')
  @ApiOperation({ operationId: 'revokeApiKey', summary: 'Revoke an API key; it opens nothing from now on' })
  @ApiNoContentResponse()
  @Problems()
  revoke(@Caller() caller: CallerOfRoute, @Param() { keyId }: ApiKeyIdParam): Promise<void> {
    return this.keys.revoke(caller, keyId);
  }
}
