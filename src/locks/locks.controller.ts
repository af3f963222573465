import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequiresRole } from '../access/access.decorators.js';
import { Problems } from '../http/problem.dto.js';
import { LockHolders } from './lock-holders.service.js';
import { LockDto, LockPageDto } from './locks.dto.js';

@ApiTags('Locks')
@Controller('v1/locks')
export class LocksController {
  constructor(private readonly holders: LockHolders) {}

  @Get()
  @RequiresRole('viewer', { of: 'platform' })
  @ApiOperation({
    operationId: 'listLocks',
    summary: 'The locks that are held now, by whichever replica; the longest held first, all on one page',
  })
  @ApiOkResponse({ type: LockPageDto })
  @Problems()
  async list(): Promise<LockPageDto> {
    const holders = await this.holders.all();
    return { items: holders.map(LockDto.from), nextCursor: null };
  }
}
