import { Controller, Get, Req, type StreamableFile } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request } from 'express';
import { RequiresRole } from '../access/access.decorators.js';
import { answerList, ListResponse } from '../http/list-answer.js';
import { Problems } from '../http/problem.dto.js';
import { HeldLockPageDto } from './held-locks.dto.js';
import { HeldLocksService } from './held-locks.service.js';

const CSV = { name: 'locks', columns: ['name', 'since', 'applicationName', 'clientAddress', 'pid'] };

@ApiTags('Locks')
@Controller('v1/locks')
export class HeldLocksController {
  constructor(private readonly locks: HeldLocksService) {}

  @Get()
  @RequiresRole('viewer', { of: 'platform' })
  @ApiOperation({
    operationId: 'listLocks',
    summary:
      'The locks that are held now, by whichever replica or other program; the longest held first, all on one page',
  })
  @ListResponse(HeldLockPageDto)
  @Problems()
  list(@Req() request: Request): Promise<HeldLockPageDto | StreamableFile> {
    return answerList(request, {}, CSV, () => this.locks.list());
  }
}
