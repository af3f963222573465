import { CronTime } from 'cron';
import type { Configuration } from '../config/configuration.js';
import { rfc3339 } from '../database/moments.js';
import type { LockHolder } from '../locks/lock-holder.js';
import { RECORD_KEPT_MS, type ScheduleRecord } from './schedule-record.sql.js';

/** What a sweep of the last tick may still need after that tick, before it counts as missed. */
const GRACE_MS = 2_000;

/** What a batch and its retries may add to a sweep's time budget. */
const LONGEST_BATCH_MS = 10_000;

export type LockOwner = LockHolder | 'nobody' | 'unknown';

/** Whether the schedule works, by what the database records. Every part of Lapse that says so asks for this. */
export interface ScheduleState {
  /**
   * - `working`: a scheduled sweep of the last two ticks ended well, or one runs and makes progress;
   * - `failing`: so it is, but the last one did not end well;
   * - `stopped`: none of the last two ticks did;
   * - `unproven`: no scheduled sweep is on record at all, and nobody keeps one from running.
   */
  condition: 'working' | 'failing' | 'stopped' | 'unproven';
  /** By the database's clock: when two ticks will have passed since the last sweep that ended well, or have passed. */
  dueAt: Date;
  cron: string;
  record: ScheduleRecord;
  owner: LockOwner;
}

/** The second tick after a moment, with time for its sweep to end. No sweep that ended well until then: two were missed. */
export function secondTickAfter(moment: Date, cron: string): Date {
  const time = new CronTime(cron, 'UTC');
  const first = time.getNextDateFrom(moment, 'UTC');
  return new Date(time.getNextDateFrom(first, 'UTC').toMillis() + GRACE_MS);
}

export function judgeSchedule(
  record: ScheduleRecord,
  owner: LockOwner,
  { sweepTimeBudget }: Pick<Configuration, 'sweepTimeBudget'>,
  cron: string,
): ScheduleState {
  const dueAt = secondTickAfter(record.lastGood ?? new Date(record.now.getTime() - RECORD_KEPT_MS), cron);
  const patience = sweepTimeBudget + LONGEST_BATCH_MS;
  const lastFailed = record.last?.status === 'failed';
  // Each tick of a schedule that fails runs for a moment, which is no excuse for those before.
  const progresses =
    !lastFailed &&
    owner !== 'nobody' &&
    record.lastProgress !== null &&
    record.now.getTime() - record.lastProgress.getTime() < patience;
  const state = { dueAt, cron, record, owner };
  const isHeld = typeof owner === 'object';
  if (record.last === null && record.lastGood === null && !progresses && !isHeld) {
    return { ...state, condition: 'unproven' };
  }
  if (record.now >= dueAt && !progresses) {
    return { ...state, condition: 'stopped' };
  }
  return { ...state, condition: lastFailed ? 'failing' : 'working' };
}

/** What is known and from where, in words for the log and for people. */
export function describeSchedule({ condition, cron, record, owner }: ScheduleState): string {
  const { lastGood, last, table } = record;
  const known =
    lastGood === null
      ? `no scheduled sweep that ended well is on record in ${table}`
      : `the last scheduled sweep that ended well did so at ${rfc3339(lastGood)}, by the record in ${table}`;
  const failed =
    last && last.status !== 'succeeded' && last.status !== 'partial'
      ? [`the last one ended as ${last.status} at ${rfc3339(last.finishedAt)}${last.error ? ` (${last.error})` : ''}`]
      : [];
  const facts = [known, `the schedule is "${cron}" in UTC`, ...failed];
  return condition === 'stopped' || condition === 'unproven'
    ? [...facts, describeOwner(owner)].join('; ')
    : facts.join('; ');
}

function describeOwner(owner: LockOwner): string {
  switch (owner) {
    case 'nobody':
      return 'nobody holds the lock "sweep"';
    case 'unknown':
      return 'who holds the lock "sweep" is unknown, because the database that keeps the locks does not answer';
    default: {
      const since = owner.since ? ` since ${rfc3339(owner.since)}` : '';
      const pid = owner.pid === null ? '' : ` (PostgreSQL process ${owner.pid})`;
      return `the lock "${owner.name}" is held by "${owner.applicationName}"${pid}${since}`;
    }
  }
}

/** What a person can do if LAPSE_SWEEP_CRON is `off` and nothing else requests sweeps. */
export const REMEDY_FOR_SCHEDULE_OFF =
  'let a scheduler run "lapse sweep" or call GET /api/cron/cleanup-stale-workflows, or leave LAPSE_SWEEP_CRON out';

/** What a person can do about a schedule that has stopped. */
export function remedyForSchedule({ owner, record }: ScheduleState): string {
  if (typeof owner === 'object') {
    return owner.pid === null
      ? 'end the prepared transaction that holds the lock, by COMMIT PREPARED or ROLLBACK PREPARED'
      : `wait for the holder, or end its session: SELECT pg_terminate_backend(${owner.pid});`;
  }
  if (record.last?.status === 'failed') {
    return 'remove the cause of the failure: the next tick tries again';
  }
  return 'start the service if it does not run; its log says what fails, and "lapse sweep" sweeps once';
}
