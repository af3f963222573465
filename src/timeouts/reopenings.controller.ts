import { Body, Controller, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import { ApiAcceptedResponse, ApiBody, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { Audited, Caller, RequiresRole } from '../access/access.decorators.js';
import type { Caller as CallerOfRoute } from '../access/principal.js';
import { Problems } from '../http/problem.dto.js';
import { ACCEPTED_SWEEP, answerSweep, SweepDto, WaitQuery } from '../sweeps/sweep-answer.js';
import { SweepIdParam } from '../sweeps/sweep-id.param.js';
import { ReopenBody, ReopeningDto, TimeoutIdParam } from './reopenings.dto.js';
import { ReopeningsService } from './reopenings.service.js';
import { UndoBody } from './undo.dto.js';

const NIGHT = { from: '2026-11-24T22:00:00.000Z', to: '2026-11-25T06:00:00.000Z', tenantId: 'acme' };
const UNDO_EXAMPLES = {
  'Count first': { value: { ...NIGHT, dryRun: true } },
  'A night of one tenant': { value: { ...NIGHT, reason: 'The timeout was set to 3 minutes instead of 30' } },
};

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

  @Post('undo')
  @HttpCode(200)
  @RequiresRole('operator')
  @Audited('sweep.undo')
  @ApiOperation({
    operationId: 'undo',
    summary: 'Reopen what was timed out in a period or by a sweep, unless it has been changed since',
    description:
      'It is a sweep itself, of kind `undo`: it is listed, watched and cancelled like others, and ' +
      '`GET /v1/sweeps/{sweepId}/timeouts` of it shows what became of each. With `dryRun` it only counts that. Asking again ' +
      'changes nothing, or continues an undo that ended early. A tenant undoes its own executions of a sweep of the platform.',
  })
  @ApiBody({ type: UndoBody, examples: UNDO_EXAMPLES })
  @ApiOkResponse({ type: SweepDto, description: 'The undo has ended' })
  @ApiAcceptedResponse(ACCEPTED_SWEEP)
  @Problems(409)
  async undo(
    @Caller() caller: CallerOfRoute,
    @Body() body: UndoBody,
    @Query() { wait }: WaitQuery,
    @Res({ passthrough: true }) response: Response,
  ): Promise<SweepDto> {
    return answerSweep(await this.reopenings.requestUndo(caller, body, wait), response);
  }

  @Post('sweeps/:sweepId/undo')
  @HttpCode(200)
  @RequiresRole('operator')
  @Audited('sweep.undo')
  @ApiOperation({
    operationId: 'undoSweep',
    summary: 'Reopen what a sweep has timed out, unless it has been changed since',
    description: 'The same as `POST /v1/undo` with this `sweepId`, which has more filters and a preview.',
  })
  @ApiOkResponse({ type: SweepDto, description: 'The undo has ended' })
  @ApiAcceptedResponse(ACCEPTED_SWEEP)
  @Problems(409)
  async undoSweep(
    @Caller() caller: CallerOfRoute,
    @Param() { sweepId }: SweepIdParam,
    @Body() { reason }: ReopenBody,
    @Query() { wait }: WaitQuery,
    @Res({ passthrough: true }) response: Response,
  ): Promise<SweepDto> {
    return answerSweep(await this.reopenings.requestUndo(caller, { sweepId, reason }, wait), response);
  }
}
