import { setTimeout as delay } from 'node:timers/promises';
import {
  type BeforeApplicationShutdown,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { Cron, SchedulerRegistry } from '@nestjs/schedule';
import { CronTime } from 'cron';
import { Configuration } from '../config/configuration.js';
import type { Duration } from '../config/duration.js';
import { LockBusy } from '../locks/lock-options.js';
import { ShuttingDownError } from '../locks/locks.errors.js';
import { ScheduleWatch } from './schedule-watch.service.js';
import { SweepsService } from './sweeps.service.js';

const JOB = 'sweep';
const MAX_SKEW_MS = 1_000;
const SHUTDOWN_TIMEOUT_MS = 1_000;

@Injectable()
export class SweepsScheduler implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown {
  private readonly logger = new Logger('Schedule');
  private running = Promise.resolve();
  private readonly stopping = new AbortController();

  constructor(
    private readonly configuration: Configuration,
    private readonly registry: SchedulerRegistry,
    private readonly sweeps: SweepsService,
    private readonly watch: ScheduleWatch,
  ) {}

  /** The expression of the decorator stands for the configured one, which is known only now. */
  onApplicationBootstrap(): void {
    if (this.configuration.sweepCron === undefined) {
      this.logger.warn('The schedule is off (LAPSE_SWEEP_CRON=off): only requested sweeps time executions out');
      return;
    }
    const job = this.registry.getCronJob(JOB);
    job.setTime(new CronTime(this.configuration.sweepCron, 'UTC'));
    job.start();
  }

  /** A tick that comes late, on a busy machine, is better than none: the threshold lets it run all the same. */
  @Cron('* * * * *', { name: JOB, timeZone: 'UTC', disabled: true, waitForCompletion: true, threshold: 60_000 })
  tick(): Promise<void> {
    if (!this.stopping.signal.aborted) {
      this.running = this.sweep();
    }
    return this.running;
  }

  onModuleDestroy(): void {
    this.stopping.abort();
  }

  /** Nest's scheduler drops its jobs without waiting for a tick that runs; the locks wait for its sweep. */
  async beforeApplicationShutdown(): Promise<void> {
    await Promise.race([this.running, delay(SHUTDOWN_TIMEOUT_MS, undefined, { ref: false })]);
  }

  private async sweep(): Promise<void> {
    try {
      const outcome = await this.sweeps.runScheduled(this.keepLockFor());
      if (!(outcome instanceof LockBusy)) {
        await this.watch.ended(outcome);
      }
    } catch (error) {
      if (!(error instanceof ShuttingDownError)) {
        await this.watch.failed(error);
      }
    }
  }

  /** As long as clocks may differ: a second, or half the interval where that is shorter. */
  private keepLockFor(): Duration {
    const [next, afterNext] = this.registry.getCronJob(JOB).nextDates(2);
    const interval = next && afterNext ? afterNext.toMillis() - next.toMillis() : Number.POSITIVE_INFINITY;
    return `${Math.floor(Math.min(MAX_SKEW_MS, interval / 2))}ms`;
  }
}
