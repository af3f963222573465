import { rfc3339 } from '../database/moments.js';
import { ProblemError } from '../http/problem.error.js';
import type { LockHolder } from '../locks/lock-holder.js';

export class SweepNotFoundError extends ProblemError {
  constructor() {
    super({ status: 404, code: 'sweep_not_found', detail: 'There is no such sweep' });
  }
}

export class SweepNotRunningError extends ProblemError {
  constructor(readonly sweepStatus: string) {
    super({ status: 409, code: 'sweep_not_running', detail: `The sweep has ended already: it is ${sweepStatus}` });
  }
}

/** Another sweep of the same scope runs, and didn't end while this one waited for its turn. */
export class SweepBusyError extends ProblemError {
  constructor(readonly holder: LockHolder | undefined) {
    super({
      status: 409,
      code: 'sweep_running',
      detail: `Another sweep of this scope is running${describe(holder)}; wait for it, or cancel it, and try again`,
      headers: { 'Retry-After': '5' },
    });
  }
}

/** Nothing was begun: Lapse is shutting down, or the database that keeps the locks doesn't answer. */
export class SweepsUnavailableError extends ProblemError {
  constructor(cause: Error) {
    super({
      status: 503,
      code: 'sweeps_unavailable',
      detail: 'No sweep can begin at the moment; try again',
      headers: { 'Retry-After': '5' },
      cause,
    });
  }
}

/** A claimed row stayed as it was: a trigger returned NULL, a rule or a row security policy kept the update away. */
export class UpdateSuppressedError extends Error {
  constructor(readonly rows: number) {
    super(
      `The watched table kept ${rows} of the updates away without an error: a trigger, a rule or a policy does that`,
    );
    this.name = 'UpdateSuppressedError';
  }
}

/** The batch was committed by an earlier attempt whose COMMIT was not answered; this one must not do it again. */
export class BatchCommittedError extends Error {
  constructor(
    readonly sweepId: string,
    readonly mark: { partition: number; batch: number },
  ) {
    super(`Batch ${mark.batch} of partition ${mark.partition} of sweep ${sweepId} has been committed already`);
    this.name = 'BatchCommittedError';
  }
}

/** As many requested sweeps run on this replica as it allows. */
export class TooManySweepsError extends ProblemError {
  constructor(readonly maxSweeps: number) {
    super({
      status: 429,
      code: 'too_many_sweeps',
      detail: `${maxSweeps} requested sweeps and undos run on this replica, which is the maximum; try again in 5 s`,
      headers: { 'Retry-After': '5' },
    });
  }
}

function describe(holder: LockHolder | undefined): string {
  if (!holder) {
    return '';
  }
  return ` (held by "${holder.applicationName}"${holder.since ? ` since ${rfc3339(holder.since)}` : ''})`;
}
