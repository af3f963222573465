import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequiresRole } from '../access/access.decorators.js';
import { Problems } from '../http/problem.dto.js';
import { HeldLockPageDto } from './held-locks.dto.js';
import { HeldLocksService } from './held-locks.service.js';

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
  @ApiOkResponse({ type: HeldLockPageDto })
  @Problems()
  list(): Promise<HeldLockPageDto> {
    return this.locks.list();
  }
}
