import { Injectable } from '@nestjs/common';
import type { Page } from '../http/page.dto.js';
import { LockHolders } from '../locks/lock-holders.service.js';
import { HeldLockDto } from './held-locks.dto.js';
import { LocksUnavailableError } from './held-locks.errors.js';

@Injectable()
export class HeldLocksService {
  constructor(private readonly holders: LockHolders) {}

  /**
   * All of them, since they are few: a replica holds fifty at most.
   *
   * @throws LocksUnavailableError
   */
  async list(): Promise<Page<HeldLockDto>> {
    const holders = await this.holders.all().catch((error: unknown) => {
      throw new LocksUnavailableError(error);
    });
    return { items: holders.map(HeldLockDto.from), nextCursor: null };
  }
}
