import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ACCESS, type Access, AUDITED } from './access.decorators.js';
import {
  PlatformCredentialNeededError,
  RoleMissingError,
  RouteHiddenError,
  UnauthenticatedError,
} from './access.errors.js';
import { Authenticator } from './authenticator.service.js';
import { FailedAttempts } from './failed-attempts.js';
import type { GuardedRequest, Principal } from './principal.js';
import { END_USER, includesRole } from './role.js';

/** Stands before every route: turns the credential into a principal and compares it with what the route declares. */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly authenticator: Authenticator,
    private readonly failedAttempts: FailedAttempts,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const access = this.reflector.get<Access | undefined>(ACCESS, context.getHandler());
    if (access?.to === 'all') {
      return true;
    }
    const request = context.switchToHttp().getRequest<GuardedRequest>();
    const action = this.reflector.get<string | undefined>(AUDITED, context.getHandler());
    Object.assign(request, { action });
    const principal = access && (await this.authenticate(access, bearerOf(request)));
    if (!principal) {
      await this.failedAttempts.count(request.ip ?? '');
      throw new UnauthenticatedError();
    }
    Object.assign(request, { principal, scope: principal.scope });
    if (access.to === 'role') {
      assertAllowed(principal, access);
    }
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

function assertAllowed(principal: Principal, access: Access & { to: 'role' }): void {
  if (principal.role === END_USER) {
    if (!access.orEndUser) {
      throw new RouteHiddenError();
    }
    return;
  }
  if (!includesRole(principal.role, access.role)) {
    throw new RoleMissingError(access.role);
  }
  if (access.of === 'platform' && principal.scope.tenantId !== null) {
    throw new PlatformCredentialNeededError();
  }
}

/** Undefined for no Authorization header, another scheme, or more than one header (Node keeps the first: refuse both). */
function bearerOf(request: GuardedRequest): string | undefined {
  const headers = request.rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'authorization');
  const [, credential] = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? [];
  return headers.length === 1 ? credential : undefined;
}
