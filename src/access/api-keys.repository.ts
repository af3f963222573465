import { Injectable } from '@nestjs/common';
import { InjectDataSource, InjectRepository } from '@nestjs/typeorm';
import { type DataSource, type EntityManager, IsNull, Repository } from 'typeorm';
import { inShortTransaction, queryOnce, queryRow, RECORD_LIMITS } from '../database/short-transaction.js';
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
  constructor(
    @InjectRepository(ApiKeyEntity) private readonly keys: Repository<ApiKeyEntity>,
    @InjectDataSource() private readonly dataSource: DataSource,
  ) {}

  /**
   * The key of whichever tenant: the one query that is asked before a scope is known.
   *
   * Where there is no such key, a row of the same shape comes back that no secret matches: whether a key exists must
   * not be told by the time that it takes to say so.
   */
  async findAcrossTenants(publicId: string): Promise<KeptKey> {
    return queryRow<KeptKey>(
      this.dataSource,
      RECORD_LIMITS,
      `SELECT coalesce(k.id, '00000000-0000-0000-0000-000000000000') AS id, coalesce(k.public_id, asked.public_id) AS "publicId",
              coalesce(k.secret_hash, decode(repeat('00', 32), 'hex')) AS "secretHash", k.tenant_id AS "tenantId",
              coalesce(k.role, 'viewer') AS role, k.revoked_at IS NOT NULL AS "isRevoked",
              extract(epoch FROM coalesce(k.expires_at, 'infinity'))::float * 1000 AS "expiresAt",
              extract(epoch FROM coalesce(k.last_used_at, '-infinity'))::float * 1000 AS "lastUsedAt"
         FROM (SELECT $1::text AS public_id) asked
         LEFT JOIN ${this.keys.metadata.tablePath} k ON k.public_id = asked.public_id`,
      [publicId],
    );
  }

  /** The secrets' hashes of those keys that exist, of whichever tenants, and are neither revoked nor expired. */
  async findValidAcrossTenants(publicIds: readonly string[]): Promise<Map<string, Buffer>> {
    const rows = await queryOnce<{ publicId: string; secretHash: Buffer }>(
      this.dataSource,
      RECORD_LIMITS,
      `SELECT public_id AS "publicId", secret_hash AS "secretHash" FROM ${this.keys.metadata.tablePath}
        WHERE public_id = ANY($1) AND revoked_at IS NULL
          AND (expires_at IS NULL OR expires_at > statement_timestamp())`,
      [publicIds],
    );
    return new Map(rows.map(({ publicId, secretHash }) => [publicId, secretHash]));
  }

  /** Written at most once a minute per key, so that a busy key doesn't turn every read into a write. */
  async noteUse(scope: TenantScope, id: string): Promise<void> {
    await queryOnce(
      this.dataSource,
      RECORD_LIMITS,
      `UPDATE ${this.keys.metadata.tablePath} SET last_used_at = statement_timestamp()
        WHERE id = $1 AND tenant_id IS NOT DISTINCT FROM $2
          AND (last_used_at IS NULL OR last_used_at < statement_timestamp() - interval '1 minute')`,
      [id, scope.tenantId],
    );
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
    return inShortTransaction(this.dataSource, RECORD_LIMITS, ({ manager }) => {
      const query = manager.withRepository(this.keys).createQueryBuilder('key').orderBy('key.id', 'DESC').limit(limit);
      if (scope.tenantId !== null) {
        query.andWhere('key.tenantId = :tenantId', { tenantId: scope.tenantId });
      }
      if (after !== undefined) {
        query.andWhere('key.id < :after', { after });
      }
      return query.getMany();
    });
  }

  /** True where the key is one of the scope's; revoking it again changes nothing. */
  async revoke(scope: TenantScope, id: string, transaction: EntityManager): Promise<boolean> {
    const keys = transaction.withRepository(this.keys);
    await keys.update({ id, ...scope.where, revokedAt: IsNull() }, { revokedAt: () => 'statement_timestamp()' });
    return keys.existsBy({ id, ...scope.where });
  }
}
