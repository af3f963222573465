import { Injectable, Logger } from '@nestjs/common';
import { TenantScope } from '../access/tenant-scope.js';
import { LockHolders } from '../locks/lock-holders.service.js';
import { FailuresRepository } from './failures.repository.js';
import { SweepsRepository } from './sweeps.repository.js';

/** What is done after each scheduled sweep. */
export type Chore = (signal: AbortSignal) => Promise<unknown>;

const HOUR_MS = 3_600_000;

/** What keeps the records true and small, a little after each scheduled sweep. */
@Injectable()
export class SweepHousekeeping {
  private readonly logger = new Logger('Sweeps');
  private lastDeletionAt = 0;
  private readonly chores: Chore[] = [
    () => this.markAbandonedSweeps(),
    () => this.failures.deleteSettledAcrossTenants(),
    () => this.deleteOldSweeps(),
  ];

  constructor(
    private readonly lockHolders: LockHolders,
    private readonly sweeps: SweepsRepository,
    private readonly failures: FailuresRepository,
  ) {}

  /** For what another feature does after each scheduled sweep, on the replica that ran it. */
  add(chore: Chore): void {
    this.chores.push(chore);
  }

  /** @param signal tells when to stop; what is left is the next tick's. */
  async tidy(signal: AbortSignal): Promise<void> {
    for (const chore of this.chores) {
      if (signal.aborted) {
        return;
      }
      await chore(signal);
    }
  }

  private async deleteOldSweeps(): Promise<void> {
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
