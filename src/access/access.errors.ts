import { ProblemError } from '../http/problem.error.js';
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
  constructor(readonly routes: readonly string[]) {
    super(`Declare @RequiresRole(…), @RequiresCronSecret() or @OpenToAll() on: ${routes.join(', ')}`);
    this.name = 'RouteUndeclaredError';
  }
}
