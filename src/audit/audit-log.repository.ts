import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, type FindOptionsWhere, LessThan, Repository } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { AuditRecordEntity, type Outcome } from './audit-record.entity.js';

export type NewAuditRecord = Omit<AuditRecordEntity, 'id' | 'at' | 'tenantId'>;

export interface AuditFilter {
  action?: string | undefined;
  principalId?: string | undefined;
  outcome?: Outcome | undefined;
  requestId?: string | undefined;
}

@Injectable()
export class AuditLogRepository {
  constructor(@InjectRepository(AuditRecordEntity) private readonly records: Repository<AuditRecordEntity>) {}

  /** @param transaction that of what is recorded, so that either both are true or none is. */
  async insert(
    scope: TenantScope,
    record: NewAuditRecord,
    transaction: EntityManager = this.records.manager,
  ): Promise<void> {
    await transaction
      .createQueryBuilder()
      .insert()
      .into(AuditRecordEntity)
      .values({ ...record, tenantId: scope.tenantId } as object)
      .returning([])
      .execute();
  }

  /** Newest first. */
  list(
    scope: TenantScope,
    filter: AuditFilter,
    limit: number,
    before: string | undefined,
  ): Promise<AuditRecordEntity[]> {
    const given = Object.entries(filter).filter(([, value]) => value !== undefined);
    const where: FindOptionsWhere<AuditRecordEntity> = {
      ...Object.fromEntries(given),
      ...scope.where,
      ...(before === undefined ? {} : { id: LessThan(before) }),
    };
    return this.records.find({ where, order: { id: 'DESC' }, take: limit });
  }
}
