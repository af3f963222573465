import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ACCESS, type Access, AUDITED } from './access.decorators.js';
import { CronRouteClosedError, UnauthenticatedError } from './access.errors.js';
import { Authenticator } from './authenticator.service.js';
import { clientAddress } from './client-address.js';
import { FailedAttempts } from './failed-attempts.js';
import type { GuardedRequest, Principal } from './principal.js';

/**
 * The first guard of every route: turns the credential into a principal. What the principal may do is decided after the
 * rate limit, so that calls that are refused count as well.
 */
@Injectable()
export class AuthenticationGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly authenticator: Authenticator,
    private readonly failedAttempts: FailedAttempts,
  ) {}

  /** @throws UnauthenticatedError, CronRouteClosedError, TooManyFailuresError, IssuerUnavailableError */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const access = this.reflector.get<Access | undefined>(ACCESS, context.getHandler());
    if (access?.to === 'all') {
      return true;
    }
    const request = context.switchToHttp().getRequest<GuardedRequest>();
    const action = this.reflector.get<string | undefined>(AUDITED, context.getHandler());
    const credential = bearerOf(request);
    Object.assign(request, { action, credential });
    const principal = access && (await this.authenticate(access, credential));
    if (!principal) {
      await this.failedAttempts.count(clientAddress(request));
      throw access?.to === 'cron' && !this.authenticator.isCronOpen
        ? new CronRouteClosedError()
        : new UnauthenticatedError();
    }
    Object.assign(request, { principal, scope: principal.scope });
    return true;
  }

  private async authenticate(access: Access, credential: string | undefined): Promise<Principal | undefined> {
    if (credential === undefined) {
      return undefined;
    }
    return access.to === 'cron'
      ? this.authenticator.authenticateCron(credential)
      : this.authenticator.authenticate(credential);
  }
}

/** Undefined for no Authorization header, another scheme, or more than one header (Node keeps the first: refuse both). */
function bearerOf(request: GuardedRequest): string | undefined {
  const headers = request.rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'authorization');
  const [, credential] = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? [];
  return headers.length === 1 ? credential : undefined;
}
