import { setTimeout as delay } from 'node:timers/promises';
import {
  type BeforeApplicationShutdown,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { TenantScope } from '../access/tenant-scope.js';
import { Configuration } from '../config/configuration.js';
import { messageOf } from '../database/database.errors.js';
import { LockHolders } from '../locks/lock-holders.service.js';
import { LockBusy } from '../locks/lock-options.js';
import { WithAdvisoryLock } from '../locks/with-advisory-lock.decorator.js';
import { FailuresRepository } from './failures.repository.js';
import { SweepsRepository } from './sweeps.repository.js';

/** What is done from time to time, on one replica at a time. */
export interface HousekeepingTask {
  name: string;
  run(signal: AbortSignal): Promise<unknown>;
}

const INTERVAL_MS = 30_000;
/** Soon after the start: the process that ended before may have left something behind. */
const FIRST_PASS_MS = 10_000;
const HOUR_MS = 3_600_000;
const SHUTDOWN_TIMEOUT_MS = 1_000;
/** Rows that one statement deletes or looks at. */
const CHUNK = 1_000;

/**
 * Keeps the records true and small, on a timer and under a lock of its own, whatever triggers the sweeps: an in-process
 * schedule, an external one, or people.
 */
@Injectable()
export class Housekeeping implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown {
  private readonly logger = new Logger('Housekeeping');
  private readonly stopping = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<unknown> = Promise.resolve();
  private lastDeletionAt = Number.NEGATIVE_INFINITY;
  private readonly tasks: HousekeepingTask[] = [
    { name: 'marking abandoned sweeps', run: () => this.markAbandonedSweeps() },
    { name: 'deleting settled failures', run: (signal) => this.deleteSettledFailures(signal) },
    { name: 'deleting old sweeps', run: (signal) => this.deleteOldSweeps(signal) },
  ];

  constructor(
    private readonly configuration: Configuration,
    private readonly lockHolders: LockHolders,
    private readonly sweeps: SweepsRepository,
    private readonly failures: FailuresRepository,
  ) {}

  /** For what another feature does from time to time. */
  add(task: HousekeepingTask): void {
    this.tasks.push(task);
  }

  onApplicationBootstrap(): void {
    if (this.configuration.housekeeping) {
      this.timer = setTimeout(() => void this.tick(), FIRST_PASS_MS).unref();
    }
  }

  onModuleDestroy(): void {
    clearTimeout(this.timer);
    this.stopping.abort();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.race([this.running, delay(SHUTDOWN_TIMEOUT_MS, undefined, { ref: false })]);
  }

  /** Does all tasks once. A task that fails is logged, and the others are done. LockBusy if another replica does them. */
  @WithAdvisoryLock({ name: 'housekeeping', onBusy: 'skip' })
  async run(): Promise<undefined | LockBusy> {
    for (const { name, run } of this.tasks) {
      if (this.stopping.signal.aborted) {
        return undefined;
      }
      await run(this.stopping.signal).catch((error: unknown) => {
        this.logger.warn(`Housekeeping: ${name} failed: ${messageOf(error)}; retrying in ${INTERVAL_MS / 1000} s`);
      });
    }
    return undefined;
  }

  private async tick(): Promise<void> {
    this.running = this.run().catch((error: unknown) => {
      this.logger.warn(`Housekeeping failed: ${messageOf(error)}; retrying in ${INTERVAL_MS / 1000} s`);
    });
    await this.running;
    if (!this.stopping.signal.aborted) {
      this.timer = setTimeout(() => void this.tick(), INTERVAL_MS).unref();
    }
  }

  /** A sweep holds its lock while it runs: one on record as running whose lock nobody holds has died. */
  private async markAbandonedSweeps(): Promise<void> {
    for (const { id, lockName } of await this.sweeps.listRunningAcrossTenants()) {
      if ((await this.lockHolders.of(lockName)) === undefined) {
        await this.sweeps.markInterrupted(TenantScope.platform(), id);
        this.logger.warn(`Sweep ${id} was left running by a process that ended; it is now marked interrupted`);
      }
    }
  }

  private async deleteSettledFailures(signal: AbortSignal): Promise<void> {
    let after: readonly string[] | null = null;
    do {
      after = await this.failures.deleteSettledAcrossTenants(CHUNK, after);
    } while (after && !signal.aborted);
  }

  private async deleteOldSweeps(signal: AbortSignal): Promise<void> {
    if (performance.now() - this.lastDeletionAt < HOUR_MS) {
      return;
    }
    while (!signal.aborted && (await this.sweeps.deleteOldAcrossTenants(CHUNK)) === CHUNK) {
      // The next chunk.
    }
    this.lastDeletionAt = performance.now();
  }
}
