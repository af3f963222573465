import { NOTHING_HERE, ProblemError } from '../http/problem.error.js';
import type { Role } from './role.js';

/** No credential, or one that opens nothing here. One body for every cause, so that it tells nothing. */
export class UnauthenticatedError extends ProblemError {
  constructor() {
    super({
      status: 401,
      code: 'unauthenticated',
      detail: 'Send a valid credential as "Authorization: Bearer <key>"',
      headers: { 'WWW-Authenticate': 'Bearer' },
    });
  }
}

/** Nothing opens the cron route. Whoever set it up has to see that no other secret would help. */
export class CronRouteClosedError extends ProblemError {
  constructor() {
    super({
      status: 401,
      code: 'cron_route_closed',
      detail: 'This route is closed, because CRON_SECRET is not set; set it and restart Lapse',
      headers: { 'WWW-Authenticate': 'Bearer' },
    });
  }
}

export class RoleMissingError extends ProblemError {
  constructor(readonly needed: Role) {
    super({
      status: 403,
      code: 'role_missing',
      detail: `This needs the role "${needed}", which the credential doesn't have`,
    });
  }
}

/** What is asked for concerns the whole platform, and the credential is one tenant's. */
export class PlatformCredentialNeededError extends ProblemError {
  constructor() {
    super({
      status: 403,
      code: 'platform_credential_needed',
      detail: 'This needs a credential of the platform; the one that was sent is bound to a tenant',
    });
  }
}

/** To an end user nothing exists but its own conversations; the words are those of a path that doesn't exist. */
export class RouteHiddenError extends ProblemError {
  constructor() {
    super(NOTHING_HERE);
  }
}

/** Too many credentials from one address opened nothing. Those that open something are let in all the same. */
export class TooManyFailuresError extends ProblemError {
  constructor(msBeforeNext: number) {
    const seconds = Math.ceil(msBeforeNext / 1000);
    super({
      status: 429,
      code: 'too_many_failures',
      detail: `Too many credentials from this address opened nothing; try again in ${seconds} s`,
      headers: { 'Retry-After': String(seconds) },
    });
  }
}

/** The principal has called as often as LAPSE_RATE_LIMIT allows. */
export class TooManyRequestsError extends ProblemError {
  constructor(
    readonly quota: number,
    msBeforeNext: number,
  ) {
    const seconds = Math.ceil(msBeforeNext / 1000);
    super({
      status: 429,
      code: 'too_many_requests',
      detail: `${quota} requests a minute are allowed; try again in ${seconds} s`,
      headers: { 'Retry-After': String(seconds) },
    });
  }
}

/** The principal has as many downloads and event streams open on this replica as it may. */
export class TooManyStreamsError extends ProblemError {
  constructor(readonly max: number) {
    super({
      status: 429,
      code: 'too_many_streams',
      detail: `${max} downloads and event streams may be open at a time; close one, or wait until one ends`,
      headers: { 'Retry-After': '5' },
    });
  }
}

/** Whether a token is genuine can't be told, because its issuer's keys can't be fetched. */
export class IssuerUnavailableError extends ProblemError {
  constructor(cause: unknown) {
    super({
      status: 503,
      code: 'issuer_unavailable',
      detail: 'The keys of the token issuer can not be fetched at the moment; try again',
      headers: { 'Retry-After': '5' },
      cause,
    });
  }
}

/** The tenant that the caller named is not one that it may see; whether it exists is not said. */
export class TenantNotFoundError extends ProblemError {
  constructor() {
    super({ status: 404, code: 'tenant_not_found', detail: 'There is no such tenant' });
  }
}

export class ApiKeyNotFoundError extends ProblemError {
  constructor() {
    super({ status: 404, code: 'api_key_not_found', detail: 'There is no such API key' });
  }
}

/** A route without a declared role must never be served. Stops the boot. */
export class RouteUndeclaredError extends Error {
  constructor(
    readonly routes: readonly string[],
    /** Routes that change something, and don't say what the audit log is to call it. */
    readonly unaudited: readonly string[] = [],
  ) {
    super(
      [
        routes.length > 0 && `Declare @RequiresRole(…), @RequiresCronSecret() or @OpenToAll() on: ${routes.join(', ')}`,
        unaudited.length > 0 && `Declare @Audited(…) on: ${unaudited.join(', ')}`,
      ]
        .filter(Boolean)
        .join('\n'),
    );
    this.name = 'RouteUndeclaredError';
  }
}
