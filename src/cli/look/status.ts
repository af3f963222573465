import type { INestApplicationContext } from '@nestjs/common';
import type { Caller } from '../../access/principal.js';
import type { Configuration } from '../../config/configuration.js';
import { formatDuration } from '../../config/duration.js';
import type { BacklogDto } from '../../executions/backlog.dto.js';
import { BacklogService } from '../../executions/backlog.service.js';
import type { HeldLockDto } from '../../held-locks/held-locks.dto.js';
import { HeldLocksService } from '../../held-locks/held-locks.service.js';
import type { FailureDto } from '../../sweeps/failures.dto.js';
import { FailuresService } from '../../sweeps/failures.service.js';
import {
  describeSchedule,
  REMEDY_FOR_SCHEDULE_OFF,
  remedyForSchedule,
  type ScheduleState,
} from '../../sweeps/schedule-state.js';
import { ScheduleWatch } from '../../sweeps/schedule-watch.service.js';
import type { SweepDto } from '../../sweeps/sweep-answer.js';
import { SCHEDULE_LOCK } from '../../sweeps/sweep-plan.js';
import { SweepsService } from '../../sweeps/sweeps.service.js';
import { LateApprovalGuard } from '../../timeouts/late-approval-guard.service.js';
import type { GuardReport } from '../../timeouts/late-approval-guard.state.js';
import type { TimeoutDto } from '../../timeouts/timeouts.dto.js';
import { TimeoutsService } from '../../timeouts/timeouts.service.js';
import { textOf } from '../error-text.js';
import { ageOf, timeOf } from './cells.js';

export type Verdict = 'ok' | 'warn' | 'fail';

/** One thing that was looked at. */
export interface Part<Data> {
  verdict: Verdict;
  seen: string;
  /** What to do; null where there is nothing to do. */
  remedy: string | null;
  /** Null if it couldn't be read, or there is none. */
  data: Data | null;
}

/** Of a list, as much as is counted. */
interface Counted<Item> {
  count: number;
  /** Whether there are more than were counted. */
  atLeast: boolean;
  /** The first of them. */
  items: Item[];
}

export interface ScheduleStatus {
  condition: ScheduleState['condition'] | 'off';
  cron: string | null;
  lastGoodAt: string | null;
  /** When two ticks will have passed, or have passed, since the last sweep that ended well. */
  dueAt: string | null;
  last: { status: string; finishedAt: string; error: string | null } | null;
}

export interface Status {
  /** The worst of all parts. */
  verdict: Verdict;
  asOf: string;
  tenantId: string | null;
  schedule: Part<ScheduleStatus>;
  backlog: Part<BacklogDto>;
  lock: Part<HeldLockDto>;
  failures: Part<Counted<FailureDto>>;
  guard: Part<GuardReport>;
  lateApprovals: Part<Counted<TimeoutDto>>;
  sweeps: Part<{ items: SweepDto[] }>;
}

const LAST_SWEEPS = 5;
const MAX_COUNTED = 500;
const MAX_EXAMPLES = 5;
const MAX_REASON = 200;

/** For so long Lapse watches what becomes of a timed-out execution. */
const LATE_APPROVALS_MS = 7 * 24 * 3_600_000;

/** To try the guard is to update a row of the host's, and to roll that back: a watch does so once a minute. */
const GUARD_REPORT_KEPT_MS = 60_000;

export function guardReports(app: INestApplicationContext): () => Promise<GuardReport> {
  const guard = app.get(LateApprovalGuard, { strict: false });
  let latest: { report: GuardReport; at: number } | undefined;
  return async () => {
    if (latest === undefined || performance.now() - latest.at > GUARD_REPORT_KEPT_MS) {
      latest = { report: await guard.examine(), at: performance.now() };
    }
    return latest.report;
  };
}

/** Each part by itself: what can't be read at three in the morning is what has to be seen then. */
export async function readStatus(
  app: INestApplicationContext,
  configuration: Configuration,
  caller: Caller,
  guardReport: () => Promise<GuardReport>,
): Promise<Status> {
  const service = <T>(type: new (...dependencies: never[]) => T): T => app.get(type, { strict: false });
  const [schedule, backlog, lock, failures, guard, lateApprovals, sweeps] = await Promise.all([
    part(() => readSchedule(service(ScheduleWatch), configuration)),
    part(async () => judgeBacklog(await service(BacklogService).get(caller.scope), configuration)),
    part(async () => judgeLock((await service(HeldLocksService).list()).items)),
    part(() => readFailures(service(FailuresService), caller)),
    part(async () => judgeGuard(await guardReport())),
    part(() => readLateApprovals(service(TimeoutsService), caller)),
    part(() => readSweeps(service(SweepsService), caller)),
  ]);
  const parts = { schedule, backlog, lock, failures, guard, lateApprovals, sweeps };
  return {
    verdict: worst(Object.values(parts)),
    asOf: new Date().toISOString(),
    tenantId: caller.scope.tenantId,
    ...parts,
  };
}

async function part<Data>(read: () => Promise<Part<Data>>): Promise<Part<Data>> {
  return read().catch((error: unknown) => ({
    verdict: 'fail',
    seen: `can't be read: ${textOf(error)}`,
    remedy: 'run "lapse doctor", which looks closer',
    data: null,
  }));
}

function worst(parts: readonly Part<unknown>[]): Verdict {
  const has = (verdict: Verdict) => parts.some((part) => part.verdict === verdict);
  return has('fail') ? 'fail' : has('warn') ? 'warn' : 'ok';
}

const CONDITION_VERDICTS = { working: 'ok', failing: 'warn', unproven: 'warn', stopped: 'fail' } as const;

/** The service's own judgement. What the schedule is supposed to be is known from the environment of the command only. */
async function readSchedule(watch: ScheduleWatch, { sweepCron }: Configuration): Promise<Part<ScheduleStatus>> {
  if (sweepCron === undefined) {
    return {
      verdict: 'warn',
      seen: 'off by the environment of this command (LAPSE_SWEEP_CRON=off): only requested sweeps time executions out',
      remedy: REMEDY_FOR_SCHEDULE_OFF,
      data: { condition: 'off', cron: null, lastGoodAt: null, dueAt: null, last: null },
    };
  }
  const state = await watch.state(sweepCron);
  const { condition, dueAt, cron, record } = state;
  const { lastGood, last } = record;
  const verdict = CONDITION_VERDICTS[condition];
  return {
    verdict,
    seen: `${condition}: ${describeSchedule(state)}`,
    remedy: verdict === 'ok' ? null : remedyForSchedule(state),
    data: {
      condition,
      cron,
      lastGoodAt: lastGood?.toISOString() ?? null,
      dueAt: dueAt.toISOString(),
      last: last && { ...last, finishedAt: last.finishedAt.toISOString() },
    },
  };
}

/** What is suspended for twice the timeout should have been timed out long ago: that is how the doctor judges, too. */
function judgeBacklog(backlog: BacklogDto, { approvalTimeout }: Configuration): Part<BacklogDto> {
  const { suspended, overdue, oldestSuspendedSince, nextDeadline, asOf, approximate } = backlog;
  if (suspended === 0) {
    return { verdict: 'ok', seen: 'nothing waits', remedy: null, data: backlog };
  }
  const age = oldestSuspendedSince === null ? 0 : Date.parse(asOf) - Date.parse(oldestSuspendedSince);
  const isLate = overdue > 0 && age > 2 * approvalTimeout;
  const about = approximate ? 'about ' : '';
  const next = nextDeadline === null ? '' : `; next deadline ${timeOf(nextDeadline)}`;
  const late = isLate ? `, longer than twice the timeout of ${formatDuration(approvalTimeout)}` : '';
  return {
    verdict: isLate ? 'warn' : 'ok',
    seen: `${about}${suspended} suspended, ${about}${overdue} overdue; the oldest for ${ageOf(oldestSuspendedSince)}${late}${next}`,
    remedy: isLate ? 'see whether sweeps run and what fails; "lapse executions --overdue" lists them' : null,
    data: backlog,
  };
}

function judgeLock(locks: readonly HeldLockDto[]): Part<HeldLockDto> {
  const holder = locks.find(({ name }) => name === SCHEDULE_LOCK);
  if (!holder) {
    return { verdict: 'ok', seen: `"${SCHEDULE_LOCK}" is free`, remedy: null, data: null };
  }
  const { applicationName, pid, since } = holder;
  const process = pid === null ? '' : ` (PostgreSQL process ${pid})`;
  const held = since === null ? '' : ` for ${ageOf(since)}`;
  return {
    verdict: 'ok',
    seen: `"${SCHEDULE_LOCK}" is held by "${applicationName}"${process}${held}`,
    remedy: null,
    data: holder,
  };
}

async function readFailures(failures: FailuresService, caller: Caller): Promise<Part<Counted<FailureDto>>> {
  const data = counted(await failures.list(caller, { limit: MAX_COUNTED }));
  const [oldest] = data.items;
  if (!oldest) {
    return { verdict: 'ok', seen: 'none', remedy: null, data };
  }
  return {
    verdict: 'warn',
    seen:
      `${amount(data)} can't be timed out, and ${data.count === 1 ? 'is' : 'are'} paused between tries; the longest failing ` +
      `since ${timeOf(oldest.firstFailedAt)}, next try ${timeOf(oldest.nextTryAt)}: ${shortened(oldest.lastReason)}`,
    remedy: '"lapse failures" lists them with their reasons',
    data,
  };
}

function judgeGuard(report: GuardReport): Part<GuardReport> {
  const { state, tried, reason, exemptRoles } = report;
  switch (state) {
    case 'installed':
      return exemptRoles.length > 0
        ? {
            verdict: 'warn',
            seen: `installed, but does not hold for ${exemptRoles.join(', ')}, whose sessions fire no trigger`,
            remedy: 'reset session_replication_role of each role and database with which the host connects',
            data: report,
          }
        : {
            verdict: 'ok',
            seen: tried ? 'installed; a late approval is refused' : `installed; not tried: ${reason}`,
            remedy: null,
            data: report,
          };
    case 'missing':
      return {
        verdict: 'ok',
        seen: 'not installed, which is a choice: late approvals come through',
        remedy: null,
        data: report,
      };
    case 'ineffective':
      return {
        verdict: 'fail',
        seen: `installed, and does not hold: ${reason}`,
        remedy: 'remove the cause; see docs/late-approvals.md',
        data: report,
      };
    default:
      return { verdict: 'warn', seen: `${state}: ${reason}`, remedy: 'run "lapse guard install"', data: report };
  }
}

async function readLateApprovals(timeouts: TimeoutsService, caller: Caller): Promise<Part<Counted<TimeoutDto>>> {
  const from = new Date(Date.now() - LATE_APPROVALS_MS).toISOString();
  const data = counted(await timeouts.list(caller, { resurrected: true, from, limit: MAX_COUNTED }));
  const [latest] = data.items;
  if (!latest) {
    return { verdict: 'ok', seen: 'none of the timeouts of the last 7 days came back', remedy: null, data };
  }
  return {
    verdict: 'warn',
    seen:
      `${amount(data)} of the last 7 days came back without being reopened; the latest is ${latest.executionId} of ` +
      `tenant ${latest.tenantId}, timed out ${timeOf(latest.timedOutAt)}`,
    remedy: '"lapse timeouts --resurrected" lists them; "lapse guard install" prevents them',
    data,
  };
}

async function readSweeps(sweeps: SweepsService, caller: Caller): Promise<Part<{ items: SweepDto[] }>> {
  const { items } = await sweeps.list(caller, { limit: LAST_SWEEPS });
  const running = items.filter(({ status }) => status === 'running').length;
  const seen = items.length === 0 ? 'none on record' : running === 0 ? 'none runs now' : `${running} running now`;
  return { verdict: 'ok', seen, remedy: null, data: { items } };
}

function counted<Item>({ items, nextCursor }: { items: Item[]; nextCursor: string | null }): Counted<Item> {
  return { count: items.length, atLeast: nextCursor !== null, items: items.slice(0, MAX_EXAMPLES) };
}

/** The database's own words can be many; `data` has all of them. */
function shortened(reason: string): string {
  const characters = [...reason];
  return characters.length <= MAX_REASON ? reason : `${characters.slice(0, MAX_REASON).join('')}…`;
}

function amount({ count, atLeast }: Counted<unknown>): string {
  return atLeast ? `at least ${count}` : String(count);
}
