import { ProblemError } from '../http/problem.error.js';
import type { SweepEntity } from '../sweeps/sweep.entity.js';

/** Another sweep holds the lock, and it does not do what this request asks for. */
export class CleanupBusyError extends ProblemError {
  constructor() {
    super({
      status: 503,
      code: 'sweep_running',
      detail: 'Another sweep with a narrower scope is running; nothing was timed out. Try again in a few seconds',
      headers: { 'Retry-After': '5' },
    });
  }
}

/** The sweep did not do its work. What it timed out before that stays, and is counted in its record. */
export class CleanupFailedError extends ProblemError {
  constructor(readonly sweep: Pick<SweepEntity, 'id' | 'status' | 'error' | 'timedOut'>) {
    const isStopped = sweep.status === 'interrupted' || sweep.status === 'cancelled';
    super({
      status: isStopped ? 503 : 500,
      code: 'sweep_failed',
      detail:
        `Sweep ${sweep.id} ${sweep.status} after it had timed out ${sweep.timedOut}` +
        `${sweep.error ? `: ${sweep.error}` : ''}; try again`,
      ...(isStopped ? { headers: { 'Retry-After': '5' } } : {}),
    });
  }
}
