import type { Configuration } from '../../config/configuration.js';
import { formatDuration } from '../../config/duration.js';
import { lockSettings } from '../../database/lock-settings.js';
import { rfc3339 } from '../../database/moments.js';
import { sqlStateOf } from '../../database/sql-state.js';
import { LockConnections } from '../../locks/lock-connections.js';
import { findHolder } from '../../locks/lock-holder.js';
import { readScheduleRecord, type ScheduleRecord } from '../../sweeps/schedule-record.sql.js';
import {
  describeSchedule,
  judgeSchedule,
  type LockOwner,
  REMEDY_FOR_SCHEDULE_OFF,
  remedyForSchedule,
} from '../../sweeps/schedule-state.js';
import { SCHEDULE_LOCK } from '../../sweeps/sweep-plan.js';
import type { Check } from './check.js';
import { fail, type Outcome, ok, warn } from './finding.js';

/** SQLSTATE undefined_table: Lapse's own tables don't exist yet. */
const UNDEFINED_TABLE = '42P01';

const LOCK_NAME = SCHEDULE_LOCK;

/**
 * Judges by what the database records, as the service itself does. What the schedule is supposed to be is known from the
 * environment of the command only; a service may have been started with another one.
 */
export const scheduleCheck: Check = {
  name: 'schedule',
  needs: 'database',
  async look({ configuration, dataSource }) {
    const { sweepCron, approvalTimeout } = configuration;
    const environment = `by the environment of this command the timeout is ${formatDuration(approvalTimeout)}`;
    const record = await readScheduleRecord(dataSource, LOCK_NAME).catch((error: unknown) => {
      if (sqlStateOf(error) === UNDEFINED_TABLE) {
        return undefined;
      }
      throw error;
    });
    if (sweepCron === undefined) {
      return warn(
        `${environment} and the schedule is off (LAPSE_SWEEP_CRON=off): only requested sweeps time executions out${lastGoodOf(record)}`,
        REMEDY_FOR_SCHEDULE_OFF,
      );
    }
    if (!record) {
      return warn(
        `${environment} and the schedule is "${sweepCron}" in UTC; Lapse's tables, where sweeps are recorded, don't exist yet`,
        'run "lapse migrate", or start the service',
      );
    }
    return judge(record, configuration, sweepCron, environment);
  },
};

async function judge(
  record: ScheduleRecord,
  configuration: Configuration,
  cron: string,
  environment: string,
): Promise<Outcome> {
  const state = judgeSchedule(record, await ownerOf(configuration), configuration, cron);
  const seen = `${describeSchedule(state)} (${environment}, and so is the schedule)`;
  switch (state.condition) {
    case 'working':
      return ok(seen);
    case 'stopped':
      return fail(`no scheduled sweep ended well at the last two ticks: ${seen}`, remedyForSchedule(state));
    default:
      return warn(seen, remedyForSchedule(state));
  }
}

function lastGoodOf(record: ScheduleRecord | undefined): string {
  return record?.lastGood
    ? `; yet a scheduled sweep ended well at ${rfc3339(record.lastGood)}, by the record in ${record.table}`
    : '';
}

async function ownerOf(configuration: Configuration): Promise<LockOwner> {
  const connections = new LockConnections(lockSettings(configuration));
  try {
    return (await findHolder(connections, LOCK_NAME)) ?? 'nobody';
  } catch {
    return 'unknown';
  } finally {
    await connections.onApplicationShutdown();
  }
}
