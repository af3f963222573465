import { applyDecorators, createParamDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common';
import { ApiBearerAuth, ApiHeader } from '@nestjs/swagger';
import { MAX_ID_CHARACTERS } from '../http/input.validators.js';
import { callerOf } from './caller.js';
import type { Caller as CallerOfRoute } from './principal.js';
import type { Role } from './role.js';
import type { TenantScope } from './tenant-scope.js';

export const ACCESS = 'lapse:access';
export const AUDITED = 'lapse:audited';
export const TENANT_HEADERS = 'lapse:tenant-headers';

const TENANT_HEADER = {
  name: 'X-Tenant-Id',
  required: false,
  description: 'Narrows a credential of the platform to this tenant, as `tenantId` does',
  schema: { type: 'string', minLength: 1, maxLength: MAX_ID_CHARACTERS },
} as const;

/** What a route declares: who may call it. A route that declares nothing stops the boot. */
export type Access =
  | { to: 'all' }
  | { to: 'cron' }
  | { to: 'role'; role: Role; of: 'tenant' | 'platform'; orEndUser: boolean };

/**
 * @param options `of: 'platform'` for what concerns no tenant: a credential that is bound to one is refused.
 *   `orEndUser` lets end users in too, whose conversations the handler must then look at.
 */
export const RequiresRole = (role: Role, options: { of?: 'platform'; orEndUser?: true } = {}) =>
  applyDecorators(
    SetMetadata(ACCESS, {
      to: 'role',
      role,
      of: options.of ?? 'tenant',
      orEndUser: options.orEndUser ?? false,
    } satisfies Access),
    ApiBearerAuth('key'),
    ApiBearerAuth('jwt'),
    ...(options.of === 'platform' ? [] : [ApiHeader(TENANT_HEADER)]),
  );

/** For the one route that `CRON_SECRET` opens, and that nothing else opens. */
export const RequiresCronSecret = () =>
  applyDecorators(SetMetadata(ACCESS, { to: 'cron' } satisfies Access), ApiBearerAuth('cron-secret'));

export const OpenToAll = () => SetMetadata(ACCESS, { to: 'all' } satisfies Access);

/**
 * What the audit log calls a call of this route, done or refused. A route that changes something and doesn't declare
 * it stops the boot.
 */
export const Audited = (action: string) => SetMetadata(AUDITED, action);

/** Another header, in lower case, that names the tenant on this route, beside `X-Tenant-Id`. */
export const TenantHeader = (name: string) => SetMetadata(TENANT_HEADERS, [name]);

/** The scope that the call is about: the credential's, narrowed to the tenant that the request names. */
export const CallerScope = createParamDecorator(
  (_: unknown, context: ExecutionContext): TenantScope => callerOf(context).scope,
);

export const Caller = createParamDecorator((_: unknown, context: ExecutionContext): CallerOfRoute => callerOf(context));
