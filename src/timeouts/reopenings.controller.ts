import { Body, Controller, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { Audited, Caller, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import { Problems } from '../http/problem.dto.js';
import { ACCEPTED_SWEEP, answerSweep, SweepDto, WaitQuery } from '../sweeps/sweep-answer.js';
import { SweepIdParam } from '../sweeps/sweep-id.param.js';
import { ReopenBody, ReopeningDto, TimeoutIdParam } from './reopenings.dto.js';
import { ReopeningsService } from './reopenings.service.js';

@ApiTags('Ledger')
@Controller('v1')
export class ReopeningsController {
  constructor(private readonly reopenings: ReopeningsService) {}

  @Post('timeouts/:timeoutId/reopen')
  @HttpCode(200)
  @RequiresRole('operator')
  @Audited('timeout.reopen')
  @ApiOperation({
    operationId: 'reopenTimeout',
    summary: 'Suspend an execution again that was timed out, where nobody has changed it since',
    description: 'It has a fresh deadline and its own metadata back, and can be timed out again.',
  })
  @ApiOkResponse({ type: ReopeningDto })
  @Problems(409)
  async reopen(
    @Caller() caller: CallerOfRoute,
    @Param() { timeoutId }: TimeoutIdParam,
    @Body() { reason }: ReopenBody,
  ): Promise<ReopeningDto> {
    return { timeoutId, outcome: await this.reopenings.reopen(caller, timeoutId, reason) };
  }

  @Post('sweeps/:sweepId/undo')
  @HttpCode(200)
  @RequiresRole('operator')
  @Audited('sweep.undo')
  @ApiOperation({
    operationId: 'undoSweep',
    summary: 'Reopen whatever a sweep has timed out, where nobody has changed it since',
    description:
      'It is a sweep itself, of kind `undo`: it is listed, watched and cancelled like others, and ' +
      '`GET /v1/sweeps/{sweepId}/timeouts` of it shows what became of each. Undoing a sweep again changes nothing, ' +
      'or goes on where an undo broke off.',
  })
  @ApiOkResponse({ type: SweepDto, description: 'The undo has ended' })
  @ApiAcceptedResponse(ACCEPTED_SWEEP)
  @Problems(409)
  async undo(
    @Caller() caller: CallerOfRoute,
    @Param() { sweepId }: SweepIdParam,
    @Body() { reason }: ReopenBody,
    @Query() { wait }: WaitQuery,
    @Res({ passthrough: true }) response: Response,
  ): Promise<SweepDto> {
    return answerSweep(await this.reopenings.requestUndo(caller, sweepId, reason, wait), response);
  }
}
