import { Injectable } from '@nestjs/common';
import { InjectDataSource, InjectRepository } from '@nestjs/typeorm';
import { type DataSource, type EntityManager, IsNull, Repository } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { type BoundedRows, boundedPage } from '../database/bounded-page.js';
import { entityColumns } from '../database/entity-columns.js';
import { schemaOf } from '../database/schema-of.js';
import { equalities, inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { SweepEntity, type SweepStatus, type Trigger } from './sweep.entity.js';
import type { SweepPlan } from './sweep-plan.js';

export interface SweepFilter {
  trigger?: Trigger | undefined;
  status?: SweepStatus | undefined;
}

/** What of a plan is on record. */
export type NewSweep = Pick<
  SweepPlan,
  'trigger' | 'projectId' | 'agentId' | 'dryRun' | 'timeoutSeconds' | 'limit' | 'reason' | 'requestedBy'
> & {
  lockName: string;
  /** The sweep whose timeouts this one takes back; null for one that times out. */
  undoes: string | null;
};

export type SweepRow = SweepEntity & { position: readonly string[] };

@Injectable()
export class SweepsRepository {
  private readonly table: string;

  constructor(
    @InjectRepository(SweepEntity) private readonly sweeps: Repository<SweepEntity>,
    @InjectDataSource() private readonly dataSource: DataSource,
  ) {
    this.table = `${schemaOf(dataSource)}.sweeps`;
  }

  /**
   * Puts a sweep on record as running; the caller holds its lock. So whichever sweep of the same lock is still on
   * record as running was left behind by a process that died, and is marked in the same statement.
   *
   * The cutoff comes back as ISO text to the microsecond, from the database's clock.
   */
  async start(
    scope: TenantScope,
    sweep: NewSweep,
    transaction: Pick<EntityManager, 'query'>,
  ): Promise<{ id: string; cutoff: string }> {
    const [started] = await transaction.query(
      `WITH abandoned AS (
         UPDATE ${this.table} SET status = 'interrupted', finished_at = statement_timestamp(), error = $9
          WHERE status = 'running' AND lock_name = $10
       )
       INSERT INTO ${this.table}
         (trigger, tenant_id, project_id, agent_id, dry_run, timeout_seconds, row_limit, reason, requested_by, lock_name, undoes)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $11, $10, $12)
       RETURNING id, to_char(cutoff AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cutoff`,
      [
        sweep.trigger,
        scope.tenantId,
        sweep.projectId,
        sweep.agentId,
        sweep.dryRun,
        sweep.timeoutSeconds,
        sweep.limit,
        sweep.reason,
        ABANDONED,
        sweep.lockName,
        sweep.requestedBy?.principal.id ?? sweep.trigger,
        sweep.undoes,
      ],
    );
    return started;
  }

  /** Ends a running sweep; one that somebody has already marked interrupted stays so. */
  async finish(scope: TenantScope, id: string, status: SweepStatus, error: string | null): Promise<void> {
    await this.dataSource.query(
      `UPDATE ${this.table}
          SET status = CASE WHEN $2 = 'succeeded' AND failed > 0 THEN 'partial' ELSE $2 END,
              error = $3, finished_at = statement_timestamp()
        WHERE id = $1 AND status = 'running' AND ($4::text IS NULL OR tenant_id = $4)`,
      [id, status, error, scope.tenantId],
    );
  }

  async find(scope: TenantScope, id: string): Promise<SweepEntity | null> {
    return this.sweeps.findOneBy({ id, ...scope.where });
  }

  /** Newest first, which is the order of ids. */
  list(
    scope: TenantScope,
    { trigger, status }: SweepFilter,
    limit: number,
    after: readonly string[] | undefined,
  ): Promise<BoundedRows<SweepRow>> {
    const parameters = new SqlParameters();
    return boundedPage(
      this.dataSource,
      {
        table: this.table,
        columns: entityColumns(this.sweeps),
        served: inScope(scope, parameters),
        unserved: equalities({ trigger, status }, parameters),
        key: [['id', 'uuid']],
        direction: 'DESC',
        after,
        limit,
      },
      parameters,
    );
  }

  /** True where the sweep was running. It stops after its batch, on whichever replica it runs. */
  async requestCancel(scope: TenantScope, id: string, transaction: EntityManager): Promise<boolean> {
    const sweeps = transaction.withRepository(this.sweeps);
    const { affected } = await sweeps.update(
      { id, status: 'running', ...scope.where, cancelRequestedAt: IsNull() },
      { cancelRequestedAt: () => 'statement_timestamp()' },
    );
    return affected === 1 || sweeps.existsBy({ id, status: 'running', ...scope.where });
  }

  async countDryRun(scope: TenantScope, id: string, timedOut: number): Promise<void> {
    await this.sweeps.update({ id, ...scope.where }, { timedOut });
  }

  async listRunningAcrossTenants(): Promise<SweepEntity[]> {
    return this.sweeps.findBy({ status: 'running' });
  }

  async markInterrupted(scope: TenantScope, id: string): Promise<void> {
    await this.sweeps.update(
      { id, status: 'running', ...scope.where },
      { status: 'interrupted', finishedAt: () => 'statement_timestamp()', error: ABANDONED },
    );
  }

  /** Empty scheduled sweeps are kept for a day, all others for 90; with an undo goes what it did to each timeout. */
  async deleteOldAcrossTenants(): Promise<void> {
    await this.dataSource.query(
      `WITH old AS (
         DELETE FROM ${this.table}
          WHERE finished_at < statement_timestamp() - interval '90 days'
             OR (finished_at < statement_timestamp() - interval '1 day'
                 AND trigger = 'schedule' AND status = 'succeeded' AND timed_out + skipped + failed = 0)
         RETURNING id, undoes)
       DELETE FROM ${schemaOf(this.dataSource)}.undo_outcomes WHERE undo_id IN (SELECT id FROM old WHERE undoes IS NOT NULL)`,
    );
  }
}

const ABANDONED = 'The process that ran it ended without finishing it; what it counted until then is true';
