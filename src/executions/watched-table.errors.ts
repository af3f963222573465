import { ProblemError } from '../http/problem.error.js';

/** The table that Lapse is to watch isn't there. */
export class WatchedTableMissingError extends Error {
  constructor(readonly schema: string) {
    super(
      `There is no table "${schema}".workflow_executions; set LAPSE_WATCHED_SCHEMA to the schema that holds it, ` +
        'or LAPSE_CREATE_WATCHED_TABLES=true to have it created',
    );
    this.name = 'WatchedTableMissingError';
  }
}

/** The table is there, but not such as Lapse can work on. */
export class WatchedTableUnsuitableError extends Error {
  constructor(
    readonly schema: string,
    readonly faults: readonly string[],
  ) {
    super(
      `The table "${schema}".workflow_executions can't be watched: ${faults.join('; ')}; ` +
        'set LAPSE_WATCHED_SCHEMA to the schema of another table, or change this one',
    );
    this.name = 'WatchedTableUnsuitableError';
  }
}

/** A session that keeps others from reading the watched table. */
export interface TableLockHolder {
  /** Null for a prepared transaction, which belongs to no session. */
  pid: number | null;
  applicationName: string | null;
  /** When its transaction began, in ISO 8601; null if the role may not see it. */
  since: string | null;
  /** Whether it waits for the lock itself, and has everybody queue behind it. */
  isWaiting: boolean;
  /** The sessions that it waits for. */
  waitsFor: readonly number[];
}

/** Another session has locked the watched table for longer than a read waits. */
export class WatchedTableLockedError extends ProblemError {
  constructor(
    readonly holder: TableLockHolder | undefined,
    cause: unknown,
  ) {
    super({
      status: 503,
      code: 'table_locked',
      detail: 'The table of executions is locked at the moment; try again',
      operatorDetail: `The table of executions is locked: ${holder ? describe(holder) : 'by a session that is gone by now'}`,
      headers: { 'Retry-After': '5' },
      cause,
    });
  }
}

/** A read of the watched table took longer than it may. */
export class WatchedTableReadTimeoutError extends ProblemError {
  constructor(
    readonly timeoutMs: number,
    cause: unknown,
  ) {
    super({
      status: 503,
      code: 'read_timeout',
      detail:
        `Reading the table of executions was cancelled after ${timeoutMs / 1000} s; narrow the filter, or ask an ` +
        'operator to run "lapse doctor", which names missing indexes',
      headers: { 'Retry-After': '30' },
      cause,
    });
  }
}

/** The watched table, or `conversations` beside it, is not such as Lapse can read, or its role may not read it. */
export class WatchedTableUnreadableError extends ProblemError {
  constructor(override readonly cause: Error) {
    super({
      status: 503,
      code: 'table_unreadable',
      detail: 'The table of executions can\'t be read as it is now; an operator finds out why with "lapse doctor"',
      operatorDetail: `The watched table can't be read as it is now (${cause.message}); run "lapse doctor"`,
      headers: { 'Retry-After': '60' },
      cause,
    });
  }
}

function describe({ pid, applicationName, since, isWaiting, waitsFor }: TableLockHolder): string {
  const who = pid === null ? 'a prepared transaction' : `pid ${pid}`;
  const application = applicationName ? ` (application "${applicationName}")` : '';
  const begun = since === null ? '' : `, in a transaction since ${since}`;
  return isWaiting
    ? `others queue behind ${who}${application}${begun}, which waits for pid ${waitsFor.join(', ')}`
    : `held by ${who}${application}${begun}`;
}
