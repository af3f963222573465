import type { SweepDto } from '../sweeps/sweep-answer.js';
import { CommandFailedError } from './cli.errors.js';
import { EXIT, type ExitCode } from './exit-codes.js';

/** Another sweep of the scope is no failure to a script: it has a code of its own. */
export async function asBusy(error: unknown): Promise<never> {
  const { SweepBusyError } = await import('../sweeps/sweeps.errors.js');
  throw error instanceof SweepBusyError ? new CommandFailedError(error.message, EXIT.busy, error) : error;
}

/** Of a sweep or an undo that has ended. */
export function exitCodeOf({ status }: SweepDto): ExitCode {
  if (status === 'succeeded') {
    return EXIT.done;
  }
  return status === 'partial' ? EXIT.partial : EXIT.failed;
}
