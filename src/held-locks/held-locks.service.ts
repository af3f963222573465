import { Injectable } from '@nestjs/common';
import type { Page } from '../http/page.dto.js';
import { LockHolders } from '../locks/lock-holders.service.js';
import { LockedMethods } from '../locks/locked-methods.js';
import { SweepLockNames } from '../sweeps/sweep-lock-names.service.js';
import { HeldLockDto } from './held-locks.dto.js';
import { LocksUnavailableError } from './held-locks.errors.js';

/** The lock that `migrate()` takes. */
const MIGRATION_LOCK = 'migrate';

@Injectable()
export class HeldLocksService {
  constructor(
    private readonly holders: LockHolders,
    private readonly lockedMethods: LockedMethods,
    private readonly sweepLocks: SweepLockNames,
  ) {}

  /**
   * All of them, because they are few: a replica holds fifty at most. What another program holds is recognized if it is
   * a lock that Lapse takes at any time, or that a running sweep needs.
   *
   * @throws LocksUnavailableError
   */
  async list(): Promise<Page<HeldLockDto>> {
    const names = [MIGRATION_LOCK, ...this.lockedMethods.names, ...(await this.sweepLocks.known())];
    const holders = await this.holders.all(names).catch((error: unknown) => {
      throw new LocksUnavailableError(error);
    });
    return { items: holders.map(HeldLockDto.from), nextCursor: null };
  }
}
