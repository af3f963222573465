import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import type { Capacity } from '../database/capacity.js';
import { schemaOf } from '../database/schema-of.js';
import { queryOnce } from '../database/short-transaction.js';
import type { BatchMark, BatchOutcome } from './batch-job.js';

const LIMITS = { statementTimeout: 2_000, lockTimeout: 1_000 };

/** Counts of running sweeps, a row for each partition. They are added to the sweep's own record when it ends. */
@Injectable()
export class SweepCountsRepository {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /** What the transaction with this mark did; undefined if it was not committed. */
  async outcomeOf(
    scope: TenantScope,
    sweepId: string,
    { partition, batch }: BatchMark,
    capacity: Capacity,
  ): Promise<BatchOutcome | undefined> {
    const schema = schemaOf(this.dataSource);
    const [row] = await queryOnce<{ done: number }>(
      this.dataSource,
      { ...LIMITS, capacity },
      `SELECT c.done
         FROM ${schema}.sweep_counts c JOIN ${schema}.sweeps s ON s.id = c.sweep_id
        WHERE c.sweep_id = $1::uuid AND c.partition = $2 AND c.batch = $3
          AND ($4::text IS NULL OR s.tenant_id = $4)`,
      [sweepId, partition, batch, scope.tenantId],
    );
    return row && { ...row, suppressed: 0, counted: true };
  }

  /** A statement of its own after a batch: one that was requested while the batch ran is seen. */
  async isCancelRequested(scope: TenantScope, sweepId: string, transaction: QueryRunner): Promise<boolean> {
    const [row] = await transaction.query(
      `SELECT cancel_requested_at IS NOT NULL AS requested FROM ${schemaOf(this.dataSource)}.sweeps
        WHERE id = $1::uuid AND ($2::text IS NULL OR tenant_id = $2)`,
      [sweepId, scope.tenantId],
    );
    return row?.requested ?? false;
  }
}
