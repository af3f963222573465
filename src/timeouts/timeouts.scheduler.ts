import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Cron, SchedulerRegistry } from '@nestjs/schedule';
import { Configuration } from '../config/configuration.js';
import { AS_CONFIGURED, JOB_OPTIONS, startAsConfigured } from '../sweeps/configured-schedule.js';
import { ResurrectionsService } from './resurrections.service.js';

const JOB = 'watch-timeouts';

@Injectable()
export class TimeoutsScheduler implements OnApplicationBootstrap {
  private readonly logger = new Logger('Schedule');

  constructor(
    private readonly configuration: Configuration,
    private readonly registry: SchedulerRegistry,
    private readonly resurrections: ResurrectionsService,
  ) {}

  onApplicationBootstrap(): void {
    startAsConfigured(this.registry, JOB, this.configuration);
  }

  /** As often as the schedule sweeps, so that an approval that comes late is known within one interval. */
  @Cron(AS_CONFIGURED, { name: JOB, ...JOB_OPTIONS })
  async tick(): Promise<void> {
    try {
      await this.resurrections.detect();
    } catch (error) {
      this.logger.warn(
        `Watching timeouts broke off: ${error instanceof Error ? error.message : error}; the next one goes on`,
      );
    }
  }
}
