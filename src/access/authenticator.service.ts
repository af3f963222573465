import { Injectable } from '@nestjs/common';
import { Configuration } from '../config/configuration.js';
import { sameSecret } from './api-key.js';
import { ApiKeyAuthenticator } from './api-key-authenticator.service.js';
import { JwtAuthenticator } from './jwt-authenticator.service.js';
import type { Principal } from './principal.js';
import { TenantScope } from './tenant-scope.js';

/** No key and no sensible token is longer. What is, isn't looked into. */
const LONGEST_CREDENTIAL = 8_192;

/** Three parts, the first of which begins with `{"` as base64 writes it. */
const JWT = /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/;

/** Turns a credential into a principal; undefined where it opens nothing. */
@Injectable()
export class Authenticator {
  constructor(
    private readonly configuration: Configuration,
    private readonly apiKeys: ApiKeyAuthenticator,
    private readonly jwts: JwtAuthenticator,
  ) {}

  /** @throws IssuerUnavailableError for a token that can't be checked at the moment. */
  async authenticate(credential: string): Promise<Principal | undefined> {
    if (credential.length > LONGEST_CREDENTIAL) {
      return undefined;
    }
    const { adminKey } = this.configuration;
    if (adminKey !== undefined && sameSecret(credential, adminKey)) {
      return { kind: 'admin-key', id: 'admin-key', role: 'admin', scope: TenantScope.platform() };
    }
    return JWT.test(credential) ? this.jwts.authenticate(credential) : this.apiKeys.authenticate(credential);
  }

  authenticateCron(credential: string): Principal | undefined {
    const { cronSecret } = this.configuration;
    return cronSecret !== undefined && sameSecret(credential, cronSecret)
      ? { kind: 'cron-secret', id: 'cron-secret', role: 'operator', scope: TenantScope.platform() }
      : undefined;
  }
}
