import { Injectable } from '@nestjs/common';
import type { QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { WatchedReads } from './watched-reads.js';
import { WatchedTable } from './watched-table.js';

/** What waits, in numbers; those of a sample are of the sample. */
export interface BacklogRow {
  asOf: Date;
  suspended: number;
  overdue: number;
  oldestSuspendedSince: Date | null;
  nextDeadline: Date | null;
  byTenant: { tenantId: string; suspended: number; overdue: number }[];
  otherTenants: { tenants: number; suspended: number; overdue: number };
  /** How many are in each age class: at most as old as its limit, and older than the one before; the last has none. */
  ages: number[];
  isSample: boolean;
  /** By how much the numbers are to be multiplied: 1 where everything was counted. */
  scale: number;
}

const COUNTED_AT_MOST = 100_000;
const SAMPLED_PAGES = 3_000;

/** Counts what waits, at a bounded cost. */
@Injectable()
export class BacklogRepository {
  constructor(
    private readonly reads: WatchedReads,
    private readonly watched: WatchedTable,
  ) {}

  /**
   * Counts from the index up to 100,000 executions; where more wait, from a random sample of the table's pages.
   *
   * @param ageLimits the upper limits of the age classes, in seconds, ascending.
   */
  async count(
    scope: TenantScope,
    { timeoutSeconds, ageLimits, tenants }: { timeoutSeconds: number; ageLimits: readonly number[]; tenants: number },
  ): Promise<BacklogRow> {
    return this.reads.run(async (transaction) => {
      const ask = async (sample: string, limit: string): Promise<BacklogRow> => {
        const parameters = new SqlParameters();
        const sql = this.sql(scope, { timeoutSeconds, ageLimits, tenants, sample, limit }, parameters);
        const [row] = await transaction.query(sql, parameters.values);
        return row;
      };
      const counted = await ask('', `LIMIT ${COUNTED_AT_MOST + 1}`);
      if (counted.suspended <= COUNTED_AT_MOST) {
        return { ...counted, isSample: false, scale: 1 };
      }
      const share = Math.min(1, SAMPLED_PAGES / (await this.pages(transaction)));
      return { ...(await ask(`TABLESAMPLE SYSTEM (${share * 100})`, '')), isSample: true, scale: 1 / share };
    });
  }

  private sql(
    scope: TenantScope,
    of: { timeoutSeconds: number; ageLimits: readonly number[]; tenants: number; sample: string; limit: string },
    parameters: SqlParameters,
  ): string {
    const { watched } = this;
    const timeout = parameters.add(of.timeoutSeconds);
    const ofScope = inScope(scope, parameters);
    const where = (condition: string) => `WHERE ${[condition, ...ofScope].join(' AND ')}`;
    const isOverdue = watched.isOverdue('e', 'statement_timestamp()', timeout);
    const age = `extract(epoch FROM statement_timestamp() - ${watched.updatedAt('e')})`;
    const ageClass = of.ageLimits.map((limit) => `(${age} > ${limit})::int`).join(' + ');
    const first = (column: string, condition: string) =>
      `(SELECT ${column} FROM ${watched.name} e ${where(condition)} ORDER BY e.updated_at LIMIT 1)`;
    return `
      WITH waiting AS MATERIALIZED (
        SELECT e.tenant_id, ${isOverdue} AS overdue, ${ageClass} AS age_class
          FROM ${watched.name} e ${of.sample}
         ${where(`e.status = 'suspended'`)} ${of.limit && `ORDER BY e.updated_at ${of.limit}`}),
      tenants AS (
        SELECT tenant_id, count(*)::int AS suspended, (count(*) FILTER (WHERE overdue))::int AS overdue,
               row_number() OVER (ORDER BY count(*) DESC, tenant_id) AS rank
          FROM waiting GROUP BY tenant_id),
      classes AS (SELECT age_class, count(*)::int AS executions FROM waiting GROUP BY age_class)
      SELECT statement_timestamp() AS "asOf",
             (SELECT count(*)::int FROM waiting) AS suspended,
             (SELECT count(*)::int FROM waiting WHERE overdue) AS overdue,
             ${first(watched.updatedAt('e'), `e.status = 'suspended'`)} AS "oldestSuspendedSince",
             ${first(watched.deadline('e', timeout), watched.isWaiting('e', 'statement_timestamp()', timeout))} AS "nextDeadline",
             (SELECT coalesce(json_agg(json_build_object('tenantId', tenant_id, 'suspended', suspended, 'overdue', overdue)
                                       ORDER BY rank), '[]')
                FROM tenants WHERE rank <= ${of.tenants}) AS "byTenant",
             (SELECT json_build_object('tenants', count(*), 'suspended', coalesce(sum(suspended), 0),
                                       'overdue', coalesce(sum(overdue), 0))
                FROM tenants WHERE rank > ${of.tenants}) AS "otherTenants",
             (SELECT json_agg(coalesce(executions, 0) ORDER BY class)
                FROM generate_series(0, ${of.ageLimits.length}) class
                LEFT JOIN classes ON age_class = class) AS ages`;
  }

  /** Of the table and its partitions. */
  private async pages(transaction: QueryRunner): Promise<number> {
    const [{ pages }] = await transaction.query(
      `SELECT (sum(pg_relation_size(c.oid)) / current_setting('block_size')::int)::float AS pages FROM pg_class c
        WHERE c.oid = $1::regclass OR c.oid IN (SELECT relid FROM pg_partition_tree($1::regclass))`,
      [this.watched.name],
    );
    return Math.max(pages, 1);
  }
}
