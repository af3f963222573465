import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { schemaOf } from '../database/schema-of.js';
import { queryOnce } from '../database/short-transaction.js';
import type { ShareCounts } from './sweep-share.js';
import { failuresOfShare, hasTouched, IS_UNDO, outcomesOfShare, timeoutsOfShare } from './sweep-share.sql.js';

/** As for a page of a list: what is counted is bounded, but can be some hundred thousand rows. */
const LIMITS = { statementTimeout: 10_000, lockTimeout: 1_000 };

const OUTCOMES = {
  reopened: 'reopened',
  changedSince: 'changed_since',
  gone: 'gone',
  alreadyReopened: 'already_reopened',
  undoFailed: 'failed',
} as const;

type CountedShare = ShareCounts & { id: string; undoFailed: number };

/** Reads what sweeps of the platform did to one tenant, from the ledger. */
@Injectable()
export class SweepSharesRepository {
  private readonly schema: string;

  constructor(@InjectDataSource() private readonly dataSource: DataSource) {
    this.schema = schemaOf(dataSource);
  }

  /** Whether a sweep of the platform has touched the tenant. False for the scope of the platform, and for other sweeps. */
  async hasTouched(scope: TenantScope, sweepId: string): Promise<boolean> {
    if (scope.tenantId === null) {
      return false;
    }
    const rows = await queryOnce(
      this.dataSource,
      LIMITS,
      `SELECT FROM ${this.schema}.sweeps e
        WHERE e.id = $1::uuid AND e.tenant_id IS NULL AND ${hasTouched(this.schema, '$2')}`,
      [sweepId, scope.tenantId],
    );
    return rows.length > 0;
  }

  /** The tenant's counts of sweeps of the platform, by the id of the sweep. */
  async count(scope: TenantScope, sweepIds: readonly string[]): Promise<Map<string, ShareCounts>> {
    const { schema } = this;
    const outcomes = Object.entries(OUTCOMES).map(
      ([name, outcome]) => `(count(*) FILTER (WHERE o.outcome = '${outcome}'))::int AS "${name}"`,
    );
    const rows = await queryOnce<CountedShare>(
      this.dataSource,
      LIMITS,
      `SELECT e.id, ledger."timedOut", failures.failed, outcomes.*
         FROM ${schema}.sweeps e
        CROSS JOIN LATERAL (
          SELECT count(*)::int AS "timedOut" FROM ${schema}.timeouts t
           WHERE NOT ${IS_UNDO} AND ${timeoutsOfShare('$2')}) ledger
        CROSS JOIN LATERAL (
          SELECT count(*)::int AS failed FROM ${schema}.failures f
           WHERE ${failuresOfShare('$2')}) failures
        CROSS JOIN LATERAL (
          SELECT ${outcomes.join(', ')} FROM ${outcomesOfShare(schema, '$2')} WHERE ${IS_UNDO}) outcomes
        WHERE e.id = ANY ($1::uuid[]) AND e.tenant_id IS NULL`,
      [sweepIds, scope.tenantId],
    );
    return new Map(
      rows.map(({ id, undoFailed, failed, ...counts }) => [id, { ...counts, failed: failed + undoFailed }]),
    );
  }
}
