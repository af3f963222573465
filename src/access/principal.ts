import type { Request } from 'express';
import type { END_USER, Role } from './role.js';
import type { TenantScope } from './tenant-scope.js';

/** Who a credential makes the caller. */
export interface Principal {
  kind: 'admin-key' | 'api-key' | 'jwt' | 'cron-secret' | 'cli';
  /** Names the principal in records: `admin-key`, `api-key:<publicId>`, `jwt:<subject>`, `cron-secret`, `cli:<user>`. Never a secret. */
  id: string;
  role: Role | typeof END_USER;
  /** What the credential is bound to. */
  scope: TenantScope;
  /** When a stream that is open must end, in milliseconds since 1970; undefined if only looking at the credential tells. */
  expiresAt?: number;
  /** Of an end user: who that is in the conversations of the host. */
  endUserId?: string;
}

/** Tells principals apart: subjects of two tenants may have the same name. */
export function principalKey({ id, scope }: Principal): string {
  return JSON.stringify([scope.tenantId, id]);
}

/** Who calls, about whom, and from where. */
export interface Caller {
  principal: Principal;
  /** The principal's scope, narrowed to the tenant that the request names. */
  scope: TenantScope;
  /** The network address that the request came from; `local` for the command line. */
  address: string;
  requestId: string;
  /** What the route's `@Audited` calls it; undefined where the route changes nothing. */
  action: string | undefined;
}

/** What the guards leave on a request, each for the next. */
export type GuardedRequest = Request & {
  action?: string;
  credential?: string;
  principal?: Principal;
  scope?: TenantScope;
};
