import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { Configuration } from '../config/configuration.js';
import { TooManyRequestsError } from './access.errors.js';
import { type GuardedRequest, principalKey } from './principal.js';

const WINDOW_SECONDS = 60;

/** Limits how often a principal may call this replica, refused calls included, and says in headers how many calls are left. */
@Injectable()
export class RateLimitGuard implements CanActivate {
  private readonly limiter: RateLimiterMemory | undefined;

  constructor({ rateLimit }: Configuration) {
    this.limiter =
      rateLimit === undefined ? undefined : new RateLimiterMemory({ points: rateLimit, duration: WINDOW_SECONDS });
  }

  /** @throws TooManyRequestsError */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { principal } = context.switchToHttp().getRequest<GuardedRequest>();
    if (!this.limiter || !principal) {
      return true;
    }
    const response = context.switchToHttp().getResponse<Response>();
    const quota = this.limiter.points;
    try {
      tell(response, quota, await this.limiter.consume(principalKey(principal)));
      return true;
    } catch (refusal) {
      if (refusal instanceof RateLimiterRes) {
        tell(response, quota, refusal);
        throw new TooManyRequestsError(quota, refusal.msBeforeNext);
      }
      throw refusal;
    }
  }
}

/** The header fields of the IETF's draft "RateLimit header fields for HTTP": what is left, until when, and of how much. */
function tell(response: Response, quota: number, { remainingPoints, msBeforeNext }: RateLimiterRes): void {
  response.setHeader('RateLimit-Policy', `"principal";q=${quota};w=${WINDOW_SECONDS}`);
  response.setHeader('RateLimit', `"principal";r=${remainingPoints};t=${Math.ceil(msBeforeNext / 1000)}`);
}
