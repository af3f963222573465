import { Injectable } from '@nestjs/common';
import { InjectDataSource, InjectRepository } from '@nestjs/typeorm';
import { type DataSource, type QueryRunner, Repository } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { type BoundedRows, boundedPage } from '../database/bounded-page.js';
import { entityColumns } from '../database/entity-columns.js';
import { schemaOf } from '../database/schema-of.js';
import { queryAll, queryOnce, RECORD_LIMITS } from '../database/short-transaction.js';
import { inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { SweepEntity, type SweepStatus } from './sweep.entity.js';
import { endSweepsSql, sweepsWithCounts } from './sweep-counts.sql.js';
import type { SweepPlan } from './sweep-plan.js';
import { IS_UNDO, type SweepFilter, sweepConditions, sweepsAround } from './sweep-share.sql.js';

/** What of a plan is on record. */
export type NewSweep = Pick<
  SweepPlan,
  'trigger' | 'projectId' | 'agentId' | 'dryRun' | 'timeoutSeconds' | 'limit' | 'reason' | 'requestedBy'
> & {
  lockName: string;
  /** The sweep whose timeouts this one takes back; null for one that times out, and for an undo of a period. */
  undoes: string | null;
  /** Of an undo only. */
  undo?: { from: string; to: string; expected: number };
};

interface StartedSweep {
  id: string;
  cutoff: string;
  hasAbandoned: boolean;
}

export type SweepRow = SweepEntity & { position: readonly string[] };

@Injectable()
export class SweepsRepository {
  private readonly schema: string;
  private readonly table: string;
  /** SQL: sweeps with their counts as they stand. */
  private readonly withCounts: string;

  constructor(
    @InjectRepository(SweepEntity) private readonly sweeps: Repository<SweepEntity>,
    @InjectDataSource() private readonly dataSource: DataSource,
  ) {
    this.schema = schemaOf(dataSource);
    this.table = `${this.schema}.sweeps`;
    this.withCounts = this.countedIn(this.table);
  }

  /**
   * Records a sweep as running; the caller holds its lock. So every sweep of the same lock that is still on record as
   * running was left behind by a process that died, and is marked as well.
   *
   * @param transaction a transaction of its own unless given.
   * @returns the cutoff as ISO text to the microsecond, from the database's clock.
   */
  async start(scope: TenantScope, sweep: NewSweep, transaction?: QueryRunner): Promise<{ id: string; cutoff: string }> {
    const query = <Row>(sql: string, parameters: unknown[]): Promise<Row[]> =>
      transaction ? transaction.query(sql, parameters) : queryOnce(this.dataSource, RECORD_LIMITS, sql, parameters);
    const [started] = await query<StartedSweep>(
      `WITH abandoned AS (SELECT FROM ${this.table} WHERE status = 'running' AND lock_name = $9 LIMIT 1)
       INSERT INTO ${this.table}
         (trigger, tenant_id, project_id, agent_id, dry_run, timeout_seconds, row_limit, reason, requested_by, lock_name, undoes,
          undo_from, undo_to, expected)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $10, $9, $11, $12, $13, $14)
       RETURNING id, to_char(cutoff AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cutoff,
                 EXISTS (SELECT FROM abandoned) AS "hasAbandoned"`,
      [
        sweep.trigger,
        scope.tenantId,
        sweep.projectId,
        sweep.agentId,
        sweep.dryRun,
        sweep.timeoutSeconds,
        sweep.limit,
        sweep.reason,
        sweep.lockName,
        sweep.requestedBy?.principal.id ?? sweep.trigger,
        sweep.undoes,
        sweep.undo?.from ?? null,
        sweep.undo?.to ?? null,
        sweep.undo?.expected ?? null,
      ],
    );
    const { id, cutoff, hasAbandoned } = started as StartedSweep;
    if (hasAbandoned) {
      await query(
        endSweepsSql(this.schema, 's.lock_name = $1 AND s.id <> $2::uuid', `status = 'interrupted', ${ABANDONED}`),
        [sweep.lockName, id],
      );
    }
    return { id, cutoff };
  }

  /**
   * Ends a running sweep; one that was already marked interrupted stays so. Doing it again changes nothing.
   *
   * @returns the sweep as it is on record now.
   */
  async finish(scope: TenantScope, id: string, status: SweepStatus, error: string | null): Promise<SweepEntity | null> {
    const end = endSweepsSql(
      this.schema,
      's.id = $1::uuid AND ($4::text IS NULL OR s.tenant_id = $4)',
      `status = CASE WHEN $2 = 'succeeded' AND s.failed + coalesce(sums.failed, 0) > 0 THEN 'partial' ELSE $2 END,
       error = coalesce($3, s.error), finished_at = statement_timestamp()`,
    );
    const [sweep] = await queryAll<SweepEntity>(this.dataSource, RECORD_LIMITS, [
      [end, [id, status, error, scope.tenantId]],
      this.findSql(scope, id),
    ]);
    return sweep ?? null;
  }

  async find(scope: TenantScope, id: string): Promise<SweepEntity | null> {
    const [sweep] = await queryAll<SweepEntity>(this.dataSource, RECORD_LIMITS, [this.findSql(scope, id)]);
    return sweep ?? null;
  }

  /** In the transaction that changes it. */
  async findIn(scope: TenantScope, id: string, transaction: QueryRunner): Promise<SweepEntity | null> {
    const [sql, parameters] = this.findSql(scope, id);
    const [sweep] = await transaction.query(sql, parameters);
    return sweep ?? null;
  }

  /** A running sweep after which a request would find nothing left: as wide, and with a timeout as short. */
  async findRunningThatCovers(scope: TenantScope, timeoutSeconds: number): Promise<{ id: string } | null> {
    const [sweep] = await queryOnce<{ id: string }>(
      this.dataSource,
      RECORD_LIMITS,
      `SELECT e.id FROM ${this.table} e
        WHERE status = 'running' AND NOT ${IS_UNDO} AND NOT dry_run AND row_limit IS NULL
          AND project_id IS NULL AND agent_id IS NULL AND cancel_requested_at IS NULL
          AND (tenant_id IS NULL OR tenant_id = $1) AND timeout_seconds <= $2
        LIMIT 1`,
      [scope.tenantId, timeoutSeconds],
    );
    return sweep ?? null;
  }

  /**
   * Newest first, which is the order of ids. A tenant's list has the platform's sweeps that touched it, too, each as a
   * whole: only its share may be shown.
   */
  list(
    scope: TenantScope,
    filter: SweepFilter,
    limit: number,
    after: readonly string[] | undefined,
  ): Promise<BoundedRows<SweepRow>> {
    const parameters = new SqlParameters();
    const tenant = scope.tenantId === null ? undefined : parameters.add(scope.tenantId);
    return boundedPage(
      this.dataSource,
      {
        table: tenant === undefined ? this.withCounts : this.countedIn(sweepsAround(this.schema, tenant)),
        columns: entityColumns(this.sweeps),
        ...sweepConditions(this.schema, tenant, filter, parameters),
        key: [['id', 'uuid']],
        direction: 'DESC',
        after,
        limit,
      },
      parameters,
    );
  }

  /** True if the sweep is running. It stops after its batch, on whichever replica it runs. */
  async requestCancel(scope: TenantScope, id: string, transaction: QueryRunner): Promise<boolean> {
    const parameters = new SqlParameters();
    const [rows] = await transaction.query(
      `UPDATE ${this.table} e SET cancel_requested_at = coalesce(e.cancel_requested_at, statement_timestamp())
        WHERE ${[`e.id = ${parameters.add(id)}::uuid`, ...inScope(scope, parameters)].join(' AND ')} AND e.status = 'running'
       RETURNING id`,
      parameters.values,
    );
    return rows.length > 0;
  }

  async countDryRun(scope: TenantScope, id: string, timedOut: number): Promise<void> {
    await queryOnce(
      this.dataSource,
      RECORD_LIMITS,
      `UPDATE ${this.table} SET timed_out = $2 WHERE id = $1::uuid AND ($3::text IS NULL OR tenant_id = $3)`,
      [id, timedOut, scope.tenantId],
    );
  }

  listRunningAcrossTenants(): Promise<Pick<SweepEntity, 'id' | 'lockName'>[]> {
    return queryOnce(
      this.dataSource,
      HOUSEKEEPING_LIMITS,
      `SELECT id, lock_name AS "lockName" FROM ${this.table} WHERE status = 'running'`,
    );
  }

  /** Marks a sweep whose process died; one that has ended since stays as it is. */
  async markInterrupted(scope: TenantScope, id: string): Promise<void> {
    await queryOnce(
      this.dataSource,
      HOUSEKEEPING_LIMITS,
      endSweepsSql(
        this.schema,
        's.id = $1::uuid AND ($2::text IS NULL OR s.tenant_id = $2)',
        `status = 'interrupted', ${ABANDONED}`,
      ),
      [id, scope.tenantId],
    );
  }

  /**
   * Deletes a part of what is old: empty scheduled sweeps are kept for a day, all others for 90; with an undo goes what
   * became of each timeout.
   *
   * @returns how many sweeps were deleted; fewer than `limit` if none is left.
   */
  async deleteOldAcrossTenants(limit: number): Promise<number> {
    const [row] = await queryOnce<{ deleted: number }>(
      this.dataSource,
      HOUSEKEEPING_LIMITS,
      `WITH old AS (
         DELETE FROM ${this.table} WHERE id IN (
           SELECT id FROM ${this.table}
            WHERE finished_at < statement_timestamp() - interval '90 days'
               OR (finished_at < statement_timestamp() - interval '1 day'
                   AND trigger = 'schedule' AND status = 'succeeded' AND timed_out + skipped + failed = 0)
            LIMIT $1)
         RETURNING id, undoes, undo_from),
       counts AS (DELETE FROM ${this.schema}.sweep_counts WHERE sweep_id IN (SELECT id FROM old)),
       outcomes AS (
         DELETE FROM ${this.schema}.undo_outcomes WHERE undo_id IN (SELECT id FROM old e WHERE ${IS_UNDO}))
       SELECT count(*)::int AS deleted FROM old`,
      [limit],
    );
    return row?.deleted ?? 0;
  }

  private countedIn(sweeps: string): string {
    const columns = this.sweeps.metadata.columns.map(({ databaseName }) => databaseName);
    return sweepsWithCounts(this.schema, columns, sweeps);
  }

  private findSql(scope: TenantScope, id: string): [sql: string, parameters: unknown[]] {
    const parameters = new SqlParameters();
    const conditions = [`e.id = ${parameters.add(id)}::uuid`, ...inScope(scope, parameters)];
    return [
      `SELECT ${entityColumns(this.sweeps)} FROM ${this.withCounts} e WHERE ${conditions.join(' AND ')}`,
      parameters.values,
    ];
  }
}

/** SQL: what is set when a sweep is found to have been abandoned. */
const ABANDONED = `finished_at = statement_timestamp(),
  error = 'The process that ran it ended without finishing it; its counts are complete up to its last batch'`;

/** Deleting takes longer than reading, and nobody waits for it. */
export const HOUSEKEEPING_LIMITS = {
  statementTimeout: 30_000,
  lockTimeout: 1_000,
  capacity: 'housekeeping',
} as const;
