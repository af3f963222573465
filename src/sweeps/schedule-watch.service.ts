import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { Configuration } from '../config/configuration.js';
import { messageOf } from '../database/database.errors.js';
import { READ_ONLY, sqlStateOf } from '../database/sql-state.js';
import { readOnlyReason } from '../database/writability.js';
import { LockHolders } from '../locks/lock-holders.service.js';
import { RepeatedWarning } from './repeated-warning.js';
import { readScheduleRecord } from './schedule-record.sql.js';
import {
  describeSchedule,
  judgeSchedule,
  type LockOwner,
  remedyForSchedule,
  type ScheduleState,
  secondTickAfter,
} from './schedule-state.js';
import type { SweepEntity } from './sweep.entity.js';
import { SCHEDULE_LOCK } from './sweep-plan.js';

/** Between two looks while the schedule is stopped, or the database doesn't answer. */
const RECHECK_MS = 10_000;
const MIN_PAUSE_MS = 1_000;
/** Also keeps a pause within what a timer can wait. */
const MAX_PAUSE_MS = 24 * 3_600_000;

const ASK_LIMITS = { statementTimeout: 2_000, lockTimeout: 1_000, capacity: 'health' } as const;

/**
 * Warns if the schedule no longer works, whichever replica was to sweep and whatever keeps it from doing so: a lock that
 * somebody holds, a frozen replica, ticks that never come. So it has a timer of its own, and judges by what the database
 * records. As long as sweeps end well, it looks once every two ticks.
 */
@Injectable()
export class ScheduleWatch implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger('Schedule');
  private readonly failures = new RepeatedWarning();
  private readonly silence = new RepeatedWarning();
  /** By the database's clock. Two ticks of a new process must pass before it warns: it may be the remedy. */
  private startedAt: Date | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly configuration: Configuration,
    private readonly lockHolders: LockHolders,
  ) {}

  onApplicationBootstrap(): void {
    const { sweepCron } = this.configuration;
    if (sweepCron !== undefined) {
      this.lookAfter(0, sweepCron);
    }
  }

  onModuleDestroy(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** Whether the schedule works, by what the database records: what `lapse doctor` says too. */
  async state(cron: string): Promise<ScheduleState> {
    const [record, owner] = await Promise.all([
      readScheduleRecord(this.dataSource, SCHEDULE_LOCK),
      this.lockHolders.of(SCHEDULE_LOCK).then(
        (holder): LockOwner => holder ?? 'nobody',
        (): LockOwner => 'unknown',
      ),
    ]);
    return judgeSchedule(record, owner, this.configuration, cron);
  }

  /** To be called with each scheduled sweep of this replica that is over. */
  async ended({ status, error }: SweepEntity): Promise<void> {
    if (status === 'failed') {
      await this.failed(error ?? 'for a reason that is not on record');
    } else if (status === 'succeeded' || status === 'partial') {
      this.recovered();
    }
  }

  /** To be called if a scheduled sweep could not begin, or broke off. */
  async failed(error: unknown): Promise<void> {
    await this.warnOfFailure('Scheduled sweep failed', error, 'retrying at the next tick');
  }

  private async warnOfFailure(what: string, error: unknown, next: string): Promise<void> {
    const reason = await this.explain(error);
    if (!this.failures.occurred(reason)) {
      return;
    }
    const { count, since } = this.failures;
    const times = count > 1 ? ` (${count} failures since ${since?.toISOString()})` : '';
    this.logger.warn(`${what}: ${reason}; ${next}${times}`);
  }

  /** What PostgreSQL says of a write that it refused doesn't tell why, nor what to do. */
  private async explain(error: unknown): Promise<string> {
    const reason =
      sqlStateOf(error) === READ_ONLY ? await readOnlyReason(this.dataSource, ASK_LIMITS).catch(() => null) : null;
    return reason
      ? `the database can't be written: ${reason.seen} (${messageOf(error)}); to do: ${reason.remedy}`
      : messageOf(error);
  }

  private recovered(): void {
    const { count } = this.failures;
    const since = [this.failures.since, this.silence.since].filter((date) => date !== undefined).sort(byTime)[0];
    if (since) {
      const failed = count > 0 ? `, after ${count} failures` : '';
      this.logger.log(`Scheduled sweeps end well again; the first warning was at ${since.toISOString()}${failed}`);
    }
    this.failures.end();
    this.silence.end();
  }

  private lookAfter(ms: number, cron: string): void {
    if (!this.stopped) {
      this.timer = setTimeout(
        async () => this.lookAfter(await this.look(cron), cron),
        Math.min(Math.max(ms, MIN_PAUSE_MS), MAX_PAUSE_MS),
      ).unref();
    }
  }

  /** Returns after how many milliseconds to look again. */
  private async look(cron: string): Promise<number> {
    try {
      const state = await this.state(cron);
      const now = state.record.now.getTime();
      this.startedAt ??= state.record.now;
      const warnFrom = secondTickAfter(this.startedAt, cron).getTime();
      const recheck = Math.min(RECHECK_MS, secondTickAfter(state.record.now, cron).getTime() - now);
      if (state.condition === 'working') {
        // Another replica may be the one that sweeps. What failed on this one ends with a sweep of its own.
        if (this.silence.since) {
          this.recovered();
        }
        return state.dueAt.getTime() > now ? state.dueAt.getTime() - now : recheck;
      }
      if (state.condition === 'failing') {
        return Math.max(state.dueAt.getTime() - now, MIN_PAUSE_MS);
      }
      if (now < warnFrom) {
        return warnFrom - now;
      }
      this.warnOfSilence(state);
      return recheck;
    } catch (error) {
      if (!this.stopped) {
        await this.warnOfFailure(
          "Whether scheduled sweeps work can't be checked",
          error,
          `retrying in ${RECHECK_MS} ms`,
        );
      }
      return RECHECK_MS;
    }
  }

  private warnOfSilence(state: ScheduleState): void {
    const { owner, record } = state;
    const holder = typeof owner === 'object' ? [owner.applicationName, owner.pid] : owner;
    // Without the times, which differ at each tick.
    if (this.silence.occurred(JSON.stringify([holder, record.last?.status, record.last?.error]))) {
      const what = describeSchedule(state);
      this.logger.warn(
        `No scheduled sweep ended well at the last two ticks: ${what}; to do: ${remedyForSchedule(state)}`,
      );
    }
  }
}

function byTime(a: Date, b: Date): number {
  return a.getTime() - b.getTime();
}
