import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { type BoundedRows, boundedPage } from '../database/bounded-page.js';
import { schemaOf } from '../database/schema-of.js';
import { equalities, inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { WatchedTable } from '../executions/watched-table.js';
import type { FailureEntity } from './failure.entity.js';
import type { DuePosition } from './overdue-executions.repository.js';

export type FailureRow = FailureEntity & { position: readonly string[] };

const COLUMNS = `e.tenant_id AS "tenantId", e.project_id AS "projectId", e.execution_id AS "executionId", e.attempts,
  e.first_failed_at AS "firstFailedAt", e.last_failed_at AS "lastFailedAt", e.next_try_at AS "nextTryAt",
  e.last_reason AS "lastReason", e.last_sweep_id AS "lastSweepId"`;

@Injectable()
export class FailuresRepository {
  private readonly schema: string;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly watched: WatchedTable,
  ) {
    this.schema = schemaOf(dataSource);
  }

  /** Records one more failed attempt, and counts it in its sweep. The pause doubles from a minute up to an hour. */
  async record(
    scope: TenantScope,
    failed: { execution: DuePosition; sweepId: string; reason: string },
    transaction: QueryRunner,
  ): Promise<{ cancelRequested: boolean }> {
    const { execution, sweepId, reason } = failed;
    const [[row]] = await transaction.query(
      `WITH recorded AS (
         INSERT INTO ${this.schema}.failures AS f
           (tenant_id, project_id, execution_id, last_reason, last_sweep_id, next_try_at)
         SELECT $1::text, $2::text, $3::text, $4::text, $5::uuid, statement_timestamp() + interval '1 minute'
          WHERE $6::text IS NULL OR $6 = $1
         ON CONFLICT (tenant_id, project_id, execution_id) DO UPDATE
           SET attempts = f.attempts + 1,
               last_failed_at = statement_timestamp(),
               last_reason = excluded.last_reason,
               last_sweep_id = excluded.last_sweep_id,
               next_try_at = statement_timestamp() + least(interval '1 minute' * 2 ^ least(f.attempts, 10), interval '1 hour')
       )
       UPDATE ${this.schema}.sweeps SET failed = failed + 1 WHERE id = $5::uuid
       RETURNING cancel_requested_at IS NOT NULL AS "cancelRequested"`,
      [execution.tenantId, execution.projectId, execution.id, reason, sweepId, scope.tenantId],
    );
    return row;
  }

  /** Longest failing first. @param sweepId only those whose last try was this sweep's. */
  list(
    scope: TenantScope,
    { sweepId, projectId }: { sweepId: string | undefined; projectId: string | undefined },
    limit: number,
    after: readonly string[] | undefined,
  ): Promise<BoundedRows<FailureRow>> {
    const parameters = new SqlParameters();
    return boundedPage(
      this.dataSource,
      {
        table: `${this.schema}.failures`,
        columns: COLUMNS,
        served: inScope(scope, parameters),
        unserved: [
          ...(sweepId === undefined ? [] : [`e.last_sweep_id = ${parameters.add(sweepId)}::uuid`]),
          ...equalities({ project_id: projectId }, parameters),
        ],
        key: [
          ['first_failed_at', 'timestamptz'],
          ['tenant_id', 'text'],
          ['project_id', 'text'],
          ['execution_id', 'text'],
        ],
        direction: 'ASC',
        after,
        limit,
      },
      parameters,
    );
  }

  /** Forgets the failures of executions that need no timing out any more. Bounded, so that a tick stays short. */
  async deleteSettledAcrossTenants(): Promise<void> {
    await this.dataSource.query(
      `DELETE FROM ${this.schema}.failures f
        USING (SELECT tenant_id, project_id, execution_id FROM ${this.schema}.failures
                WHERE next_try_at <= statement_timestamp() LIMIT 1000) due
        WHERE (f.tenant_id, f.project_id, f.execution_id) = (due.tenant_id, due.project_id, due.execution_id)
          AND NOT EXISTS (
            SELECT FROM ${this.watched.name} e
             WHERE e.tenant_id = f.tenant_id AND e.project_id = f.project_id AND e.id = f.execution_id
               AND e.status = 'suspended')`,
    );
  }
}
