import { Injectable } from '@nestjs/common';
import { SCHEDULE_LOCK } from './sweep-plan.js';
import { SweepsRepository } from './sweeps.repository.js';

/** Names what sweeps may have locked, so that a lock can be recognized whoever holds it. */
@Injectable()
export class SweepLockNames {
  constructor(private readonly sweeps: SweepsRepository) {}

  /** The schedule's lock, and those of the sweeps and undos that are on record as running. */
  async known(): Promise<string[]> {
    const running = await this.sweeps.listRunningAcrossTenants();
    return [SCHEDULE_LOCK, ...running.map(({ lockName }) => lockName)];
  }
}
