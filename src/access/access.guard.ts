import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ACCESS, type Access } from './access.decorators.js';
import { PlatformCredentialNeededError, RoleMissingError, UnauthenticatedError } from './access.errors.js';
import { Authenticator } from './authenticator.service.js';
import type { AuthenticatedRequest, Principal } from './principal.js';
import { includesRole } from './role.js';

/** Stands before every route: turns the credential into a principal and compares it with what the route declares. */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly authenticator: Authenticator,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const access = this.reflector.get<Access | undefined>(ACCESS, context.getHandler());
    if (access?.to === 'all') {
      return true;
    }
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const principal = access && (await this.principalFor(access, bearerOf(request)));
    if (!principal) {
      throw new UnauthenticatedError();
    }
    if (access.to === 'role' && !includesRole(principal.role, access.role)) {
      throw new RoleMissingError(access.role);
    }
    if (access.to === 'role' && access.of === 'platform' && principal.scope.tenantId !== null) {
      throw new PlatformCredentialNeededError();
    }
    request.principal = principal;
    return true;
  }

  private async principalFor(access: Access, credential: string | undefined): Promise<Principal | undefined> {
    if (credential === undefined) {
      return undefined;
    }
    return access.to === 'cron'
      ? this.authenticator.authenticateCron(credential)
      : this.authenticator.authenticate(credential);
  }
}

/** Undefined for no Authorization header, another scheme, or more than one header (Node keeps the first: refuse both). */
function bearerOf(request: AuthenticatedRequest): string | undefined {
  const headers = request.rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'authorization');
  const [, credential] = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? [];
  return headers.length === 1 ? credential : undefined;
}
