import type { SchedulerRegistry } from '@nestjs/schedule';
import { CronTime } from 'cron';
import type { Configuration } from '../config/configuration.js';

/** For `@Cron`: its expression stands for the configured one, which is known only once the application is built. */
export const AS_CONFIGURED = '* * * * *';

/** A tick that comes late, on a busy machine, is better than none: the threshold lets it run all the same. */
export const JOB_OPTIONS = { timeZone: 'UTC', disabled: true, waitForCompletion: true, threshold: 60_000 } as const;

/** Starts a job on the configured schedule. @returns false where that is off. */
export function startAsConfigured(registry: SchedulerRegistry, name: string, { sweepCron }: Configuration): boolean {
  if (sweepCron === undefined) {
    return false;
  }
  const job = registry.getCronJob(name);
  job.setTime(new CronTime(sweepCron, 'UTC'));
  job.start();
  return true;
}
