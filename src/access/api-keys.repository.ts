import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, IsNull, Repository } from 'typeorm';
import { ApiKeyEntity } from './api-key.entity.js';
import type { TenantScope } from './tenant-scope.js';

/** What authentication needs to know of a key. Moments are milliseconds since 1970; infinity is a moment too. */
export interface KeptKey extends Pick<ApiKeyEntity, 'id' | 'publicId' | 'secretHash' | 'tenantId' | 'role'> {
  isRevoked: boolean;
  expiresAt: number;
  lastUsedAt: number;
}

@Injectable()
export class ApiKeysRepository {
  constructor(@InjectRepository(ApiKeyEntity) private readonly keys: Repository<ApiKeyEntity>) {}

  /**
   * The key of whichever tenant: the one query that is asked before a scope is known.
   *
   * Where there is no such key, a row of the same shape comes back that no secret matches: whether a key exists must
   * not be told by the time that it takes to say so.
   */
  async findAcrossTenants(publicId: string): Promise<KeptKey> {
    const [row] = await this.keys.query(
      `SELECT coalesce(k.id, '00000000-0000-0000-0000-000000000000') AS id, coalesce(k.public_id, asked.public_id) AS "publicId",
              coalesce(k.secret_hash, decode(repeat('00', 32), 'hex')) AS "secretHash", k.tenant_id AS "tenantId",
              coalesce(k.role, 'viewer') AS role, k.revoked_at IS NOT NULL AS "isRevoked",
              extract(epoch FROM coalesce(k.expires_at, 'infinity'))::float * 1000 AS "expiresAt",
              extract(epoch FROM coalesce(k.last_used_at, '-infinity'))::float * 1000 AS "lastUsedAt"
         FROM (SELECT $1::text AS public_id) asked
         LEFT JOIN ${this.keys.metadata.tablePath} k ON k.public_id = asked.public_id`,
      [publicId],
    );
    return row;
  }

  /** Written at most once a minute per key, so that a busy key doesn't turn every read into a write. */
  async noteUse(scope: TenantScope, id: string): Promise<void> {
    await this.keys
      .createQueryBuilder()
      .update()
      .set({ lastUsedAt: () => 'statement_timestamp()' })
      .where('id = :id AND tenant_id IS NOT DISTINCT FROM :tenantId', { id, tenantId: scope.tenantId })
      .andWhere(`(last_used_at IS NULL OR last_used_at < statement_timestamp() - interval '1 minute')`)
      .execute();
  }

  async insert(
    scope: TenantScope,
    key: Pick<ApiKeyEntity, 'publicId' | 'secretHash' | 'name' | 'role' | 'createdBy' | 'expiresAt'>,
    transaction: EntityManager,
  ): Promise<ApiKeyEntity> {
    const keys = transaction.withRepository(this.keys);
    const { raw } = await keys
      .createQueryBuilder()
      .insert()
      .values({ ...key, tenantId: scope.tenantId })
      .returning('id')
      .execute();
    return keys.findOneByOrFail({ id: raw[0].id });
  }

  async list(scope: TenantScope, limit: number, after: string | undefined): Promise<ApiKeyEntity[]> {
    const query = this.keys.createQueryBuilder('key').orderBy('key.id', 'DESC').limit(limit);
    if (scope.tenantId !== null) {
      query.andWhere('key.tenantId = :tenantId', { tenantId: scope.tenantId });
    }
    if (after !== undefined) {
      query.andWhere('key.id < :after', { after });
    }
    return query.getMany();
  }

  /** True where the key is one of the scope's; revoking it again changes nothing. */
  async revoke(scope: TenantScope, id: string, transaction: EntityManager): Promise<boolean> {
    const keys = transaction.withRepository(this.keys);
    await keys.update({ id, ...scope.where, revokedAt: IsNull() }, { revokedAt: () => 'statement_timestamp()' });
    return keys.existsBy({ id, ...scope.where });
  }
}
