import { Injectable, Logger } from '@nestjs/common';
import { TenantScope } from '../access/tenant-scope.js';
import { LockHolders } from '../locks/lock-holders.service.js';
import { FailuresRepository } from './failures.repository.js';
import { SweepsRepository } from './sweeps.repository.js';

const HOUR_MS = 3_600_000;

/** What keeps the records true and small, a little after each scheduled sweep. */
@Injectable()
export class SweepHousekeeping {
  private readonly logger = new Logger('Sweeps');
  private lastDeletionAt = 0;

  constructor(
    private readonly lockHolders: LockHolders,
    private readonly sweeps: SweepsRepository,
    private readonly failures: FailuresRepository,
  ) {}

  async tidy(): Promise<void> {
    await this.markAbandonedSweeps();
    await this.failures.deleteSettledAcrossTenants();
    if (Date.now() - this.lastDeletionAt >= HOUR_MS) {
      this.lastDeletionAt = Date.now();
      await this.sweeps.deleteOldAcrossTenants();
    }
  }

  /** A sweep holds its lock for as long as it runs: one on record as running whose lock nobody holds has died. */
  private async markAbandonedSweeps(): Promise<void> {
    for (const sweep of await this.sweeps.listRunningAcrossTenants()) {
      if ((await this.lockHolders.of(sweep.lockName)) === undefined) {
        await this.sweeps.markInterrupted(TenantScope.platform(), sweep.id);
        this.logger.warn(`Sweep ${sweep.id} was left running by a process that ended; it is now marked interrupted`);
      }
    }
  }
}
