import type { INestApplicationContext } from '@nestjs/common';
import type { TenantScope } from '../access/tenant-scope.js';
import type { SweepDto } from '../sweeps/sweep-answer.js';
import type { SweepsService } from '../sweeps/sweeps.service.js';
import { CommandFailedError } from './cli.errors.js';
import { EXIT, type ExitCode } from './exit-codes.js';

/**
 * Waits for the end of a sweep or an undo, however long that takes, and shows how far it is where a person looks.
 *
 * @param quiet true where a program reads.
 * @param begin begins it, and tells its id once it is on record.
 * @throws SweepBusyError, and what `begin` throws.
 */
export async function toEnd(
  app: INestApplicationContext,
  scope: TenantScope,
  quiet: boolean,
  begin: (onStarted: (id: string) => void) => ReturnType<SweepsService['run']>,
): Promise<SweepDto> {
  const { SweepsService } = await import('../sweeps/sweeps.service.js');
  const { SweepBusyError } = await import('../sweeps/sweeps.errors.js');
  const { SweepProgressBar } = await import('./sweep-progress-bar.js');
  const { LockBusy } = await import('../locks/lock-options.js');
  const bar = quiet ? undefined : SweepProgressBar.on(process.stderr, app, scope);
  const outcome = await begin((id) => bar?.follow(id)).finally(() => bar?.stop());
  if (outcome instanceof LockBusy) {
    throw new SweepBusyError(outcome.holder);
  }
  const sweeps = app.get(SweepsService);
  // Until when its failures are paused is in the database, which is closed if a signal has interrupted the sweep.
  const hasPauses = outcome.failed > 0 && outcome.status !== 'interrupted';
  return hasPauses ? sweeps.get(scope, outcome.id) : sweeps.answer(outcome);
}

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
