import { applyDecorators, createParamDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common';
import { ApiBearerAuth } from '@nestjs/swagger';
import { UnauthenticatedError } from './access.errors.js';
import type { AuthenticatedRequest, Principal } from './principal.js';
import type { Role } from './role.js';
import type { TenantScope } from './tenant-scope.js';

export const ACCESS = 'lapse:access';

/** What a route declares: who may call it. A route that declares nothing stops the boot. */
export type Access = { to: 'all' } | { to: 'cron' } | { to: 'role'; role: Role; of: 'tenant' | 'platform' };

/** @param of `platform` for what concerns no tenant: a credential that is bound to one is refused. */
export const RequiresRole = (role: Role, { of }: { of: 'tenant' | 'platform' } = { of: 'tenant' }) =>
  applyDecorators(SetMetadata(ACCESS, { to: 'role', role, of } satisfies Access), ApiBearerAuth('key'));

/** For the one route that `CRON_SECRET` opens, and that nothing else opens. */
export const RequiresCronSecret = () =>
  applyDecorators(SetMetadata(ACCESS, { to: 'cron' } satisfies Access), ApiBearerAuth('cron-secret'));

export const OpenToAll = () => SetMetadata(ACCESS, { to: 'all' } satisfies Access);

/** The scope that the caller's credential is bound to. */
export const CallerScope = createParamDecorator(
  (_: unknown, context: ExecutionContext): TenantScope => principalOf(context).scope,
);

export const Caller = createParamDecorator((_: unknown, context: ExecutionContext): Principal => principalOf(context));

function principalOf(context: ExecutionContext): Principal {
  const { principal } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  if (!principal) {
    throw new UnauthenticatedError();
  }
  return principal;
}
