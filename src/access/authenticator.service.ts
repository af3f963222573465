import { timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Configuration } from '../config/configuration.js';
import { parseApiKey, sameSecret, sha256 } from './api-key.js';
import { ApiKeysRepository } from './api-keys.repository.js';
import type { Principal } from './principal.js';
import { TenantScope } from './tenant-scope.js';

/** What an unknown key is compared with, so that it costs what a wrong secret costs. */
const NOBODY = Buffer.alloc(32);

/** Turns a credential into a principal; undefined where it opens nothing. */
@Injectable()
export class Authenticator {
  constructor(
    private readonly configuration: Configuration,
    private readonly keys: ApiKeysRepository,
  ) {}

  async authenticate(credential: string): Promise<Principal | undefined> {
    const { adminKey } = this.configuration;
    if (adminKey !== undefined && sameSecret(credential, adminKey)) {
      return { kind: 'admin-key', id: 'admin-key', role: 'admin', scope: TenantScope.platform() };
    }
    return this.authenticateApiKey(credential);
  }

  authenticateCron(credential: string): Principal | undefined {
    const { cronSecret } = this.configuration;
    return cronSecret !== undefined && sameSecret(credential, cronSecret)
      ? { kind: 'cron-secret', id: 'cron-secret', role: 'operator', scope: TenantScope.platform() }
      : undefined;
  }

  private async authenticateApiKey(credential: string): Promise<Principal | undefined> {
    const key = parseApiKey(credential);
    if (!key) {
      return undefined;
    }
    const kept = await this.keys.findAcrossTenants(key.publicId);
    const genuine = timingSafeEqual(sha256(key.secret), kept?.secretHash ?? NOBODY);
    if (!kept || !genuine || kept.revokedAt || (kept.expiresAt && kept.expiresAt <= new Date())) {
      return undefined;
    }
    const scope = kept.tenantId === null ? TenantScope.platform() : TenantScope.tenant(kept.tenantId);
    await this.keys.noteUse(scope, kept.id);
    return { kind: 'api-key', id: `api-key:${kept.publicId}`, role: kept.role, scope };
  }
}
