import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, IsNull, Repository } from 'typeorm';
import { ApiKeyEntity } from './api-key.entity.js';
import type { TenantScope } from './tenant-scope.js';

@Injectable()
export class ApiKeysRepository {
  constructor(@InjectRepository(ApiKeyEntity) private readonly keys: Repository<ApiKeyEntity>) {}

  /** The key of whichever tenant: the one query that is asked before a scope is known. */
  findAcrossTenants(publicId: string): Promise<ApiKeyEntity | null> {
    return this.keys
      .createQueryBuilder('key')
      .addSelect('key.secretHash')
      .where('key.publicId = :publicId', { publicId })
      .getOne();
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
    const ofScope = scope.tenantId === null ? {} : { tenantId: scope.tenantId };
    await keys.update({ id, ...ofScope, revokedAt: IsNull() }, { revokedAt: () => 'statement_timestamp()' });
    return keys.existsBy({ id, ...ofScope });
  }
}
