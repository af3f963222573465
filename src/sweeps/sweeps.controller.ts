import {
  Body,
  Controller,
  Get,
  Header,
  HttpCode,
  Param,
  Post,
  Query,
  Req,
  Res,
  type StreamableFile,
  UseInterceptors,
} from '@nestjs/common';
import { ApiAcceptedResponse, ApiBody, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { Audited, Caller, CallerScope, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import type { TenantScope } from '../access/tenant-scope.js';
import { answerList, ListResponse } from '../http/list-answer.js';
import { Problems } from '../http/problem.dto.js';
import { RequiredBody } from '../http/required-body.interceptor.js';
import { ACCEPTED_SWEEP, answerSweep, SweepDto, WaitQuery } from './sweep-answer.js';
import { SweepIdParam } from './sweep-id.param.js';
import { SweepProgress } from './sweep-progress.service.js';
import { ListSweepsQuery, RequestSweepBody, SweepPageDto } from './sweeps.dto.js';
import { SweepsService } from './sweeps.service.js';

const SWEEP_EXAMPLES = {
  'Count first': { value: { dryRun: true } },
  'Everything that is overdue': { value: {} },
  'One tenant, an hour at least, the 1000 oldest': {
    value: { tenantId: 'acme', timeoutSeconds: 3600, limit: 1000, reason: 'Cleaning up after the incident' },
  },
};

const CSV = {
  name: 'sweeps',
  columns: [
    'id',
    'kind',
    'undoes',
    'range.from',
    'range.to',
    'expected',
    'shareOf',
    'trigger',
    'scope.tenantId',
    'scope.projectId',
    'scope.agentId',
    'status',
    'dryRun',
    'timeoutSeconds',
    'limit',
    'reason',
    'requestedBy',
    'counts.timedOut',
    'counts.skipped',
    'counts.failed',
    'counts.total',
    'undone.reopened',
    'undone.changedSince',
    'undone.gone',
    'undone.alreadyReopened',
    'paused.executions',
    'paused.nextTryAt',
    'paused.until',
    'cutoff',
    'startedAt',
    'finishedAt',
    'durationMs',
    'error',
    'warnings',
  ],
};

@ApiTags('Sweeps')
@Controller('v1/sweeps')
export class SweepsController {
  constructor(
    private readonly sweeps: SweepsService,
    private readonly progress: SweepProgress,
  ) {}

  @Post()
  @HttpCode(200)
  @RequiresRole('operator')
  @Audited('sweep.request')
  @ApiOperation({ operationId: 'requestSweep', summary: 'Time out what is overdue now' })
  @ApiBody({ type: RequestSweepBody, required: true, examples: SWEEP_EXAMPLES })
  @UseInterceptors(RequiredBody)
  @ApiOkResponse({ type: SweepDto, description: 'The sweep has ended' })
  @ApiAcceptedResponse(ACCEPTED_SWEEP)
  @Problems(409)
  async request(
    @Caller() caller: CallerOfRoute,
    @Body() body: RequestSweepBody,
    @Query() { wait }: WaitQuery,
    @Res({ passthrough: true }) response: Response,
  ): Promise<SweepDto> {
    return answerSweep(await this.sweeps.request(caller, body, wait), response);
  }

  @Get()
  @RequiresRole('viewer')
  @ApiOperation({
    operationId: 'listSweeps',
    summary: 'Sweeps, newest first',
    description:
      "A tenant finds its own sweeps, and its share of the platform's that touched it. A page that had to look at much may " +
      'have fewer items than `limit`, or none: request the next page as long as `nextCursor` is not null.',
  })
  @ListResponse(SweepPageDto)
  @Problems()
  list(
    @Caller() caller: CallerOfRoute,
    @Query() query: ListSweepsQuery,
    @Req() request: Request,
  ): Promise<SweepPageDto | StreamableFile> {
    return answerList(request, query, CSV, (page) => this.sweeps.list(caller, page));
  }

  @Get(':sweepId')
  @RequiresRole('viewer')
  @ApiOperation({
    operationId: 'getSweep',
    summary: 'One sweep, with its counts as they stand',
    description: 'To a tenant a sweep of the platform that touched it shows its share: see `shareOf`.',
  })
  @ApiOkResponse({ type: SweepDto })
  @Problems()
  get(@CallerScope() scope: TenantScope, @Param() { sweepId }: SweepIdParam): Promise<SweepDto> {
    return this.sweeps.get(scope, sweepId);
  }

  @Get(':sweepId/events')
  @Header('Cache-Control', 'no-cache')
  @Header('X-Accel-Buffering', 'no')
  @RequiresRole('viewer')
  @ApiOperation({
    operationId: 'watchSweep',
    summary: 'The counts of a sweep as they grow, as server-sent events; the stream ends with the sweep',
    description:
      'Each event `sweep` carries the Sweep as `GET /v1/sweeps/{sweepId}` answers it; a comment comes when nothing changes. ' +
      'The stream can end earlier: with the credential, with the replica, or if its reader takes nothing for 30 seconds. ' +
      'Connect again as long as the last `status` is `running`.',
  })
  @ApiOkResponse({ content: { 'text/event-stream': { schema: { type: 'string' } } } })
  @Problems()
  watch(@CallerScope() scope: TenantScope, @Param() { sweepId }: SweepIdParam): Promise<StreamableFile> {
    return this.progress.watch(scope, sweepId);
  }

  @Post(':sweepId/cancel')
  @HttpCode(202)
  @RequiresRole('operator')
  @Audited('sweep.cancel')
  @ApiOperation({
    operationId: 'cancelSweep',
    summary: 'Stop a running sweep after its batch, on whichever replica it runs',
  })
  @ApiAcceptedResponse({ type: SweepDto, description: 'It will stop; ask for it until it is `cancelled`' })
  @Problems(409)
  cancel(@Caller() caller: CallerOfRoute, @Param() { sweepId }: SweepIdParam): Promise<SweepDto> {
    return this.sweeps.cancel(caller, sweepId);
  }
}
