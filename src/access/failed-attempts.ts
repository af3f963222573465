import { Injectable } from '@nestjs/common';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { TooManyFailuresError } from './access.errors.js';
import { addressBlock } from './client-address.js';

const ATTEMPTS_A_MINUTE = 20;

/**
 * Counts what failed to authenticate, by address, on this replica. Only failures are counted and held up, so that
 * others behind the same address go on.
 */
@Injectable()
export class FailedAttempts {
  private readonly limiter = new RateLimiterMemory({ points: ATTEMPTS_A_MINUTE, duration: 60 });

  /** @throws TooManyFailuresError from the 21st in a minute on. */
  async count(address: string): Promise<void> {
    try {
      await this.limiter.consume(addressBlock(address));
    } catch (refusal) {
      if (refusal instanceof RateLimiterRes) {
        throw new TooManyFailuresError(refusal.msBeforeNext);
      }
      throw refusal;
    }
  }
}
