import { once } from 'node:events';
import { AdvisoryLockService } from '../../src/locks/advisory-lock.service.js';
import type { Lapse } from './lapse.js';

/** Takes a lock and keeps it until the service stops: a sweep on record with its name stays running. */
export async function holdLock(lapse: Lapse, name: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const held = lapse.app.get(AdvisoryLockService).withLock({ name, onBusy: 'skip' }, (signal) => {
      resolve();
      return once(signal, 'abort');
    });
    held.catch(reject);
  });
}
