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

  /**
   * Those of the credentials, genuine once, that would be refused by now. Nothing is answered from memory.
   *
   * @throws what keeps API keys from being looked up.
   */
  async findEnded(credentials: readonly string[]): Promise<ReadonlySet<string>> {
    const { adminKey, cronSecret } = this.configuration;
    const changing = credentials.filter((credential) => credential !== adminKey && credential !== cronSecret);
    const tokens = changing.filter((credential) => JWT.test(credential));
    const keys = changing.filter((credential) => !JWT.test(credential));
    const endedTokens = await Promise.all(tokens.map((token) => this.hasTokenEnded(token)));
    return new Set([...(await this.apiKeys.findEnded(keys)), ...tokens.filter((_, at) => endedTokens[at])]);
  }

  /** Whether there is a secret for the cron route. */
  get isCronOpen(): boolean {
    return this.configuration.cronSecret !== undefined;
  }

  authenticateCron(credential: string): Principal | undefined {
    const { cronSecret } = this.configuration;
    return cronSecret !== undefined && sameSecret(credential, cronSecret)
      ? { kind: 'cron-secret', id: 'cron-secret', role: 'operator', scope: TenantScope.platform() }
      : undefined;
  }

  /** A token that can't be checked at the moment goes on until its expiry. */
  private async hasTokenEnded(token: string): Promise<boolean> {
    try {
      return (await this.jwts.authenticate(token)) === undefined;
    } catch {
      return false;
    }
  }
}
