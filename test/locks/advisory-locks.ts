import { NestFactory } from '@nestjs/core';
import { AdvisoryLockService } from '../../src/locks/advisory-lock.service.js';
import { LockBusy } from '../../src/locks/lock-options.js';
import { LocksModule } from '../../src/locks/locks.module.js';
import type { LocksUnderTest } from './lock-contract.js';

/** Lapse's locks, as a Nest application of nothing else has them. */
export async function openLocks(databaseUrl: string): Promise<LocksUnderTest> {
  const settings = { application: 'contract', databaseUrl, schema: 'public' };
  const app = await NestFactory.createApplicationContext(LocksModule.for(settings), {
    logger: false,
    abortOnError: false,
  });
  const service = app.get(AdvisoryLockService);
  return {
    withLock: async (options, work) => {
      const outcome = await service.withLock(options, work);
      return outcome instanceof LockBusy ? 'busy' : outcome;
    },
    close: () => app.close(),
  };
}
