import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { idInHeader } from '../http/header-text.js';
import { TENANT_HEADERS } from './access.decorators.js';
import type { GuardedRequest } from './principal.js';

/**
 * Decides whose rows a call is about, before any handler runs: the credential's scope, narrowed to the tenant that the
 * request names, wherever it names it. A tenant that the credential may not see is answered as one that doesn't exist.
 */
@Injectable()
export class ScopeGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  /** @throws TenantNotFoundError, InvalidInputError */
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<GuardedRequest>();
    if (request.scope) {
      const headers = this.reflector.get<string[] | undefined>(TENANT_HEADERS, context.getHandler()) ?? [];
      request.scope = namedTenants(request, ['x-tenant-id', ...headers]).reduce(
        (scope, tenantId) => scope.narrowedTo(tenantId),
        request.scope,
      );
    }
    return true;
  }
}

/** What isn't text names nobody; the check of the input refuses it afterwards. */
function namedTenants(request: GuardedRequest, headers: readonly string[]): string[] {
  const { params, query, body } = request;
  const inHeaders = headers.map((name) => idInHeader(request, name));
  const places: unknown[] = [params.tenantId, query.tenantId, body?.tenantId, ...inHeaders];
  return places.filter((tenantId) => typeof tenantId === 'string');
}
