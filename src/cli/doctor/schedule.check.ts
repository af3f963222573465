import { formatDuration } from '../../config/duration.js';
import type { Check } from './check.js';
import { ok, warn } from './finding.js';

/** As this environment says; a service may have been started with another. */
export const scheduleCheck: Check = {
  name: 'schedule',
  needs: 'configuration',
  look({ sweepCron, approvalTimeout }) {
    const timeout = `timeout ${formatDuration(approvalTimeout)}`;
    return sweepCron === undefined
      ? warn(
          `off (LAPSE_SWEEP_CRON=off), ${timeout}: only requested sweeps time executions out`,
          'let a scheduler run "lapse sweep" or call GET /api/cron/cleanup-stale-workflows, or leave LAPSE_SWEEP_CRON out',
        )
      : ok(`on, "${sweepCron}" in UTC, ${timeout}`);
  },
};
