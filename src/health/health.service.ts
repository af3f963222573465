import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { Configuration } from '../config/configuration.js';
import { readOnlyReason } from '../database/writability.js';
import { WatchedTableMissingError, WatchedTableUnsuitableError } from '../executions/watched-table.errors.js';
import { inspectWatchedTable } from '../executions/watched-table.js';
import { LocksUnavailableError } from '../held-locks/held-locks.errors.js';
import { DatabaseReadOnlyProblemError, ProblemError } from '../http/problem.error.js';
import { LockHolders } from '../locks/lock-holders.service.js';

const TIMEOUT_MS = 2_000;

const LIMITS = { statementTimeout: TIMEOUT_MS, lockTimeout: 1_000, capacity: 'health' } as const;

/** The database doesn't answer, so that no sweep can run and no list can be read. */
export class NotReadyError extends ProblemError {
  constructor(cause: unknown) {
    super({ status: 503, code: 'not_ready', detail: 'The database does not answer', cause });
  }
}

/** The host has removed or changed its table since Lapse started. Anybody may ask for readiness, so no names are told. */
export class WatchedTableNotReadyError extends ProblemError {
  constructor(cause: WatchedTableMissingError | WatchedTableUnsuitableError) {
    super({
      status: 503,
      code: 'watched_table_unsuitable',
      detail: 'The watched table is missing, or lacks columns that Lapse needs; "lapse doctor" says which',
      cause,
    });
  }
}

@Injectable()
export class HealthService {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly configuration: Configuration,
    private readonly lockHolders: LockHolders,
  ) {}

  /**
   * Whether everything answers that work depends on. It looks at the catalog only: what locks the host's table doesn't
   * make Lapse unready.
   *
   * @throws NotReadyError, DatabaseReadOnlyProblemError, WatchedTableNotReadyError, LocksUnavailableError
   */
  async assertReady(): Promise<void> {
    await within(TIMEOUT_MS, this.assertDatabaseReady(), (cause) => new NotReadyError(cause));
    if (this.configuration.lockDatabaseUrl !== this.configuration.databaseUrl) {
      await within(TIMEOUT_MS, this.lockHolders.check(), (cause) => new LocksUnavailableError(cause));
    }
  }

  private async assertDatabaseReady(): Promise<void> {
    const reason = await readOnlyReason(this.dataSource, LIMITS);
    if (reason) {
      throw new DatabaseReadOnlyProblemError(reason.seen, reason.summary);
    }
    try {
      await inspectWatchedTable(this.dataSource, this.configuration.watchedSchema);
    } catch (error) {
      const isUnsuitable = error instanceof WatchedTableMissingError || error instanceof WatchedTableUnsuitableError;
      throw isUnsuitable ? new WatchedTableNotReadyError(error) : error;
    }
  }
}

/** Waits so long for an answer. An error that isn't a ProblemError already becomes one. */
async function within<T>(
  timeoutMs: number,
  answer: Promise<T>,
  asProblem: (cause: unknown) => ProblemError,
): Promise<T> {
  const timer = new AbortController();
  const tooLate = delay(timeoutMs, undefined, { signal: timer.signal }).then(() => {
    throw asProblem(`no answer within ${timeoutMs} ms`);
  });
  const outcome = answer.catch((error: unknown) => {
    throw error instanceof ProblemError ? error : asProblem(error);
  });
  return Promise.race([outcome, tooLate]).finally(() => timer.abort());
}
