import { SweepsService } from '../../src/sweeps/sweeps.service.js';
import { assertDrained } from '../support/backlog.js';
import { OPERATOR, SWEEP_OF_ALL, startLapse } from '../support/lapse.js';
import { timed } from '../support/statistics.js';
import type { Contender } from './contender.js';

/** A requested sweep of the whole platform, from the lock to the finished record. */
export const lapse: Contender = {
  name: 'Lapse',
  async drain(url) {
    const app = await startLapse(url);
    try {
      const sweeps = app.get(SweepsService);
      return { milliseconds: await timed(() => sweeps.run('api', OPERATOR, SWEEP_OF_ALL)), timedOut: null };
    } finally {
      await app.close();
    }
  },
  check: (url, backlog, timedOut) => assertDrained(url, backlog, { name: 'Lapse', keepsLedger: true, timedOut }),
};
