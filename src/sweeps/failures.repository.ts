import { Injectable, Logger } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { type BoundedRows, boundedPage } from '../database/bounded-page.js';
import type { Capacity } from '../database/capacity.js';
import { schemaOf } from '../database/schema-of.js';
import { queryOnce, queryRow } from '../database/short-transaction.js';
import { equalities, inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { WatchedTable } from '../executions/watched-table.js';
import type { BatchMark, BatchOutcome, Failure } from './batch-job.js';
import type { FailureEntity } from './failure.entity.js';
import type { DueExecution } from './overdue-executions.repository.js';
import { countBatchSql } from './sweep-counts.sql.js';
import { HOUSEKEEPING_LIMITS } from './sweeps.repository.js';

export interface PausedRow {
  sweepId: string;
  executions: number;
  nextTryAt: Date;
  until: Date;
}

export type FailureRow = FailureEntity & { position: readonly string[] };

const COLUMNS = `e.tenant_id AS "tenantId", e.project_id AS "projectId", e.execution_id AS "executionId", e.attempts,
  e.first_failed_at AS "firstFailedAt", e.last_failed_at AS "lastFailedAt", e.next_try_at AS "nextTryAt",
  e.last_reason AS "lastReason", e.last_sweep_id AS "lastSweepId"`;

@Injectable()
export class FailuresRepository {
  private readonly logger = new Logger('Sweeps');
  private readonly schema: string;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly watched: WatchedTable,
  ) {
    this.schema = schemaOf(dataSource);
  }

  /** Records one more failed attempt, and counts it. The next attempt comes after a minute, doubling up to an hour. */
  async record(
    scope: TenantScope,
    failed: { execution: DueExecution; sweepId: string; mark: BatchMark } & Failure,
    transaction: QueryRunner,
  ): Promise<BatchOutcome> {
    const { execution, sweepId, mark, reason, sqlState } = failed;
    const parameters = new SqlParameters();
    const sweep = `${parameters.add(sweepId)}::uuid`;
    const key = [execution.tenantId, execution.projectId, execution.id].map((part) => `${parameters.add(part)}::text`);
    const [row] = await transaction.query(
      `WITH recorded AS (
         INSERT INTO ${this.schema}.failures AS f
           (tenant_id, project_id, execution_id, last_reason, sqlstate, last_sweep_id, next_try_at)
         SELECT ${key.join(', ')}, ${parameters.add(reason)}::text, ${parameters.add(sqlState)}::text, ${sweep},
                statement_timestamp() + interval '1 minute'
          WHERE ${parameters.add(scope.tenantId)}::text IS NULL OR $${parameters.values.length} = ${key[0]}
         ON CONFLICT (tenant_id, project_id, execution_id) DO UPDATE
           SET attempts = f.attempts + 1,
               last_failed_at = statement_timestamp(),
               last_reason = excluded.last_reason,
               sqlstate = excluded.sqlstate,
               last_sweep_id = excluded.last_sweep_id,
               next_try_at = statement_timestamp() + ${backoff('f.attempts')}
       ),
       counted AS (${countBatchSql(this.schema, { sweepId: sweep, mark }, { done: '1', failed: '1' }, '(SELECT) one', parameters)})
       SELECT EXISTS (SELECT FROM counted) AS counted`,
      parameters.values,
    );
    return { done: 1, suppressed: 0, counted: row.counted };
  }

  /**
   * Tenants whose executions kept failing, the longest waiting first, and whether any failure is due for another attempt.
   *
   * @param cutoff of the sweep.
   */
  findFailing(
    scope: TenantScope,
    cutoff: string,
    capacity: Capacity,
  ): Promise<{ tenants: { tenantId: string; due: boolean }[]; hasRetries: boolean }> {
    return queryRow(
      this.dataSource,
      { ...LIMITS, capacity },
      `SELECT (SELECT coalesce(json_agg(json_build_object('tenantId', tenant_id, 'due', next <= $2::timestamptz) ORDER BY next), '[]')
                 FROM (SELECT tenant_id, max(next_try_at) AS next FROM ${this.schema}.failing_tenants
                        WHERE $1::text IS NULL OR tenant_id = $1 GROUP BY tenant_id) t) AS tenants,
              EXISTS (SELECT FROM ${this.schema}.failures
                       WHERE next_try_at <= $2::timestamptz AND ($1::text IS NULL OR tenant_id = $1)) AS "hasRetries"`,
      [scope.tenantId, cutoff],
    );
  }

  /** Lets a tenant wait for a minute, doubling up to an hour, and says so in the record of the sweep. */
  async backOff(scope: TenantScope, tenantId: string, sweepId: string, failure: Failure, capacity: Capacity) {
    const [row] = await queryOnce<{ until: Date }>(
      this.dataSource,
      { ...LIMITS, capacity },
      `WITH backed_off AS (
         INSERT INTO ${this.schema}.failing_tenants AS f (tenant_id, sqlstate, last_reason, next_try_at)
         SELECT $1, $2, $3, statement_timestamp() + interval '1 minute' WHERE $4::text IS NULL OR $4 = $1
         ON CONFLICT (tenant_id, sqlstate) DO UPDATE
           SET backoffs = f.backoffs + 1, last_reason = excluded.last_reason,
               next_try_at = statement_timestamp() + ${backoff('f.backoffs')}
         RETURNING next_try_at),
       noted AS (
         UPDATE ${this.schema}.sweeps SET error = left('Executions of tenant ' || $1 || ' keep failing; the rest of them were left for later: ' || $3, 1000)
          WHERE id = $5::uuid AND status = 'running')
       SELECT next_try_at AS until FROM backed_off`,
      [tenantId, failure.sqlState ?? 'none', failure.reason, scope.tenantId, sweepId],
    );
    this.logger.warn(
      `Executions of tenant ${tenantId} keep failing (${failure.reason}); its others are left alone until ${row?.until.toISOString()}`,
    );
  }

  /** The tenant of the scope is treated like all others again. */
  async recovered(scope: TenantScope, capacity: Capacity): Promise<void> {
    await queryOnce(
      this.dataSource,
      { ...LIMITS, capacity },
      `DELETE FROM ${this.schema}.failing_tenants WHERE tenant_id = $1`,
      [scope.tenantId],
    );
  }

  /** Of each sweep, the executions that it was the last one to try, and that wait for another attempt. */
  findPaused(scope: TenantScope, sweepIds: readonly string[]): Promise<PausedRow[]> {
    const parameters = new SqlParameters();
    const conditions = [
      `e.last_sweep_id = ANY (${parameters.add(sweepIds)}::uuid[])`,
      'e.next_try_at > statement_timestamp()',
      ...inScope(scope, parameters),
    ];
    return queryOnce(
      this.dataSource,
      // It counts all that an index finds, in no order.
      { ...LIMITS, plans: 'any' },
      `SELECT e.last_sweep_id AS "sweepId", count(*)::int AS executions,
              min(e.next_try_at) AS "nextTryAt", max(e.next_try_at) AS until
         FROM ${this.schema}.failures e WHERE ${conditions.join(' AND ')} GROUP BY e.last_sweep_id`,
      parameters.values,
    );
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

  /**
   * Deletes the failures of executions that need no timing out any more, among the next `limit` after a position.
   *
   * @returns the last position that was looked at; null if that was the end of the table.
   */
  async deleteSettledAcrossTenants(limit: number, after: readonly string[] | null): Promise<readonly string[] | null> {
    const [row] = await queryOnce<{ looked: number; last: readonly string[] | null }>(
      this.dataSource,
      HOUSEKEEPING_LIMITS,
      `WITH looked AS MATERIALIZED (
         SELECT tenant_id, project_id, execution_id FROM ${this.schema}.failures
          WHERE $2::text[] IS NULL OR (tenant_id, project_id, execution_id) > ($2[1], $2[2], $2[3])
          ORDER BY tenant_id, project_id, execution_id LIMIT $1),
       open AS MATERIALIZED (
         SELECT l.* FROM looked l CROSS JOIN LATERAL ${this.watched.byKeyOf('l')} e
          WHERE e.id = l.execution_id AND e.status = 'suspended'),
       deleted AS (
         DELETE FROM ${this.schema}.failures f USING looked l
          WHERE (f.tenant_id, f.project_id, f.execution_id) = (l.tenant_id, l.project_id, l.execution_id)
            AND f.next_try_at <= statement_timestamp()
            AND (f.tenant_id, f.project_id, f.execution_id) NOT IN (SELECT tenant_id, project_id, execution_id FROM open))
       SELECT (SELECT count(*)::int FROM looked) AS looked,
              (SELECT ARRAY[tenant_id, project_id, execution_id] FROM looked
                ORDER BY tenant_id DESC, project_id DESC, execution_id DESC LIMIT 1) AS last`,
      [limit, after],
    );
    return row && row.looked === limit ? row.last : null;
  }
}

const LIMITS = { statementTimeout: 5_000, lockTimeout: 1_000 };

/** SQL: a minute after the first attempt, doubling up to an hour. */
function backoff(attempts: string): string {
  return `least(interval '1 minute' * 2 ^ least(${attempts}, 10), interval '1 hour')`;
}
