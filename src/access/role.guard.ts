import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ACCESS, type Access } from './access.decorators.js';
import { PlatformCredentialNeededError, RoleMissingError, RouteHiddenError } from './access.errors.js';
import type { GuardedRequest, Principal } from './principal.js';
import { END_USER, includesRole } from './role.js';

/** Compares the principal with what the route declares. */
@Injectable()
export class RoleGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  /** @throws RouteHiddenError, RoleMissingError, PlatformCredentialNeededError */
  canActivate(context: ExecutionContext): boolean {
    const access = this.reflector.get<Access | undefined>(ACCESS, context.getHandler());
    const { principal } = context.switchToHttp().getRequest<GuardedRequest>();
    if (access?.to === 'role' && principal) {
      assertAllowed(principal, access);
    }
    return true;
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
