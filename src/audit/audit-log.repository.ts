import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, type QueryRunner, Repository } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { type BoundedRows, boundedPage } from '../database/bounded-page.js';
import { entityColumns } from '../database/entity-columns.js';
import { schemaOf } from '../database/schema-of.js';
import { inShortTransaction, RECORD_LIMITS } from '../database/short-transaction.js';
import { equalities, inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { AuditRecordEntity, type Outcome } from './audit-record.entity.js';

export type NewAuditRecord = Omit<AuditRecordEntity, 'id' | 'at' | 'tenantId'>;

export interface AuditFilter {
  action?: string | undefined;
  principalId?: string | undefined;
  outcome?: Outcome | undefined;
  requestId?: string | undefined;
}

export type AuditRow = AuditRecordEntity & { position: readonly string[] };

@Injectable()
export class AuditLogRepository {
  constructor(@InjectRepository(AuditRecordEntity) private readonly records: Repository<AuditRecordEntity>) {}

  /** @param transaction that of what is recorded, so that both are committed or neither; one of its own unless given. */
  async insert(scope: TenantScope, record: NewAuditRecord, transaction?: EntityManager): Promise<void> {
    if (!transaction) {
      const insert = ({ manager }: QueryRunner) => this.insert(scope, record, manager);
      return inShortTransaction(this.records.manager.dataSource, RECORD_LIMITS, insert);
    }
    await transaction
      .createQueryBuilder()
      .insert()
      .into(AuditRecordEntity)
      .values({ ...record, tenantId: scope.tenantId } as object)
      .returning([])
      .execute();
  }

  /** Newest first, which is the order of ids. */
  list(
    scope: TenantScope,
    { action, principalId, outcome, requestId }: AuditFilter,
    limit: number,
    after: readonly string[] | undefined,
  ): Promise<BoundedRows<AuditRow>> {
    const parameters = new SqlParameters();
    return boundedPage(
      this.records.manager.dataSource,
      {
        table: `${schemaOf(this.records.manager.dataSource)}.audit_log`,
        columns: entityColumns(this.records),
        served: inScope(scope, parameters),
        unserved: equalities({ action, principal_id: principalId, outcome, request_id: requestId }, parameters),
        key: [['id', 'uuid']],
        direction: 'DESC',
        after,
        limit,
      },
      parameters,
    );
  }
}
