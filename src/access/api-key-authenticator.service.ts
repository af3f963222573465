import { timingSafeEqual } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { messageOf } from '../database/database.errors.js';
import { parseApiKey, sha256 } from './api-key.js';
import { ApiKeysRepository, type KeptKey } from './api-keys.repository.js';
import type { Principal } from './principal.js';
import { TenantScope } from './tenant-scope.js';

/** Revocation on another replica works after this long, and what it takes to look: within five seconds. */
const REMEMBERED_MS = 4_000;
const REMEMBERED_KEYS = 10_000;
const USE_IS_NOTED_EVERY_MS = 60_000;

@Injectable()
export class ApiKeyAuthenticator {
  private readonly logger = new Logger('Access');

  /**
   * Keys that were genuine a moment ago, by the digest of their secret. Nothing is remembered of credentials that open
   * nothing: a wrong secret for a key in use takes the same way, and the same time, as a key that never was.
   */
  private readonly genuine = new LRUCache<string, KeptKey>({ max: REMEMBERED_KEYS, ttl: REMEMBERED_MS });

  constructor(private readonly keys: ApiKeysRepository) {}

  /** Undefined where the key is malformed, unknown, wrong, revoked or expired. */
  async authenticate(credential: string): Promise<Principal | undefined> {
    const key = parseApiKey(credential);
    if (!key) {
      return undefined;
    }
    const secretHash = sha256(key.secret);
    const remembered = this.genuine.get(nameOf(key.publicId, secretHash));
    const kept = remembered ?? (await this.lookUp(key.publicId, secretHash));
    if (!kept || kept.isRevoked || kept.expiresAt <= Date.now()) {
      return undefined;
    }
    return { kind: 'api-key', id: `api-key:${kept.publicId}`, role: kept.role, scope: TenantScope.of(kept.tenantId) };
  }

  /** Those of the keys that open nothing any more, looked up in one query. */
  async findEnded(credentials: readonly string[]): Promise<string[]> {
    if (credentials.length === 0) {
      return [];
    }
    const keys = credentials.map((credential) => ({ credential, key: parseApiKey(credential) }));
    const kept = await this.keys.findValidAcrossTenants(keys.flatMap(({ key }) => key?.publicId ?? []));
    return keys
      .filter(({ key }) => {
        const secretHash = key && kept.get(key.publicId);
        return !secretHash || !timingSafeEqual(sha256(key.secret), secretHash);
      })
      .map(({ credential }) => credential);
  }

  /** Looks at every key anew, on this replica. For one that has been revoked here. */
  forget(): void {
    this.genuine.clear();
  }

  private async lookUp(publicId: string, secretHash: Buffer): Promise<KeptKey | undefined> {
    const kept = await this.keys.findAcrossTenants(publicId);
    if (!timingSafeEqual(secretHash, kept.secretHash)) {
      return undefined;
    }
    this.genuine.set(nameOf(publicId, secretHash), kept);
    if (Date.now() - kept.lastUsedAt >= USE_IS_NOTED_EVERY_MS && !kept.isRevoked) {
      await this.noteUse(kept);
    }
    return kept;
  }

  /** A key opens its routes even if its use can't be written down: on a database that is read-only, for instance. */
  private async noteUse({ id, publicId, tenantId }: KeptKey): Promise<void> {
    try {
      await this.keys.noteUse(TenantScope.of(tenantId), id);
    } catch (error) {
      this.logger.warn(`The last use of API key ${publicId} could not be recorded: ${messageOf(error)}`);
    }
  }
}

function nameOf(publicId: string, secretHash: Buffer): string {
  return `${publicId} ${secretHash.toString('base64')}`;
}
