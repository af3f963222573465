import { setTimeout as delay } from 'node:timers/promises';
import { LockBusy } from '../locks/lock-options.js';
import { LockUnavailableError, ShuttingDownError } from '../locks/locks.errors.js';
import type { SweepEntity } from './sweep.entity.js';
import { SweepsUnavailableError } from './sweeps.errors.js';

/** A sweep that is on record; `ended` settles when it is over, and rejects where it broke off. */
export interface BegunSweep {
  id: string;
  ended: Promise<unknown>;
}

/**
 * Begins a sweep, and goes on once it is on record.
 *
 * @param run tells the sweep's id as soon as there is one.
 * @returns LockBusy where another one runs.
 * @throws whatever keeps it from beginning.
 */
export async function begin(
  run: (onStarted: (id: string) => void) => Promise<SweepEntity | LockBusy>,
): Promise<BegunSweep | LockBusy> {
  let ended: Promise<SweepEntity | LockBusy> | undefined;
  const started = await new Promise<string | LockBusy>((resolve, reject) => {
    ended = run(resolve);
    ended.then((outcome) => outcome instanceof LockBusy && resolve(outcome), reject);
  });
  return started instanceof LockBusy ? started : { id: started, ended: ended as Promise<unknown> };
}

/** Waits for the end up to so many seconds; the sweep goes on in the background after that. */
export async function waitFor(
  { ended }: BegunSweep,
  seconds: number,
  onBroken: (error: unknown) => void,
): Promise<void> {
  const waited = new AbortController();
  const patience = delay(seconds * 1000, undefined, { signal: waited.signal }).catch(() => undefined);
  await Promise.race([ended.catch(onBroken), patience]);
  waited.abort();
}

/** @throws SweepsUnavailableError where the locks can't be had, else the error itself. */
export function asUnavailable(error: unknown): never {
  throw error instanceof LockUnavailableError || error instanceof ShuttingDownError
    ? new SweepsUnavailableError(error)
    : error;
}
