import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { shortened } from '../database/bounded-page.js';
import type { Capacity } from '../database/capacity.js';
import { schemaOf } from '../database/schema-of.js';
import { queryOnce, queryRow, type TransactionLimits } from '../database/short-transaction.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { WatchedTable } from '../executions/watched-table.js';
import type { BatchMark, BatchOutcome, Search } from './batch-job.js';
import { FIRE_DEFERRED_TRIGGERS, hasAfterTriggers, readBackTimedOut, rowUpdatedAt } from './host-triggers.sql.js';
import { countBatchSql } from './sweep-counts.sql.js';
import { asObject, momentSql, unrestorable } from './timeout-markers.js';

/** Which executions a sweep is about. The cutoff is one moment of the database's clock, as ISO text to the microsecond. */
export interface Due {
  projectId: string | null;
  agentId: string | null;
  timeoutSeconds: number;
  cutoff: string;
}

/** An overdue execution as a search found it. All of it is text that the database wrote. */
export interface DueExecution {
  /** Where the row was (`ctid`), by which it is found again without an index. */
  place: string;
  updatedAt: string;
  tenantId: string;
  projectId: string;
  id: string;
}

/** The same as a search answers it. */
type FoundExecution = [place: string, updatedAt: string, tenantId: string, projectId: string, id: string];

export interface TimeoutBatch {
  sweepId: string;
  mark: BatchMark;
  items: readonly DueExecution[];
}

/** Finding may have to read the whole table, if the recommended indexes are missing or a filter has none. */
const SEARCH_LIMITS = { statementTimeout: 300_000, lockTimeout: 1_000 } as const;

/** Retries of one tenant in one sweep. */
const MAX_RETRIES_PER_TENANT = 200;

/** Finds overdue executions in the watched table and times them out. */
@Injectable()
export class OverdueExecutionsRepository {
  private readonly schema: string;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly watched: WatchedTable,
  ) {
    this.schema = schemaOf(dataSource);
  }

  /**
   * Whether anything is overdue, failed before or not: cheap enough for every idle tick, one probe of an index. The order
   * makes it that: on stale statistics the planner would otherwise read the table until it meets a row, and there is none.
   * If a filter of `due` has no index, it costs as much as `find`.
   */
  async anyDue(scope: TenantScope, due: Due, capacity: Capacity): Promise<boolean> {
    const parameters = new SqlParameters();
    const rows = await queryOnce(
      this.dataSource,
      { ...SEARCH_LIMITS, capacity },
      `SELECT FROM ${this.watched.name} e WHERE ${this.isDue(scope, due, parameters)} ORDER BY e.updated_at LIMIT 1`,
      parameters.values,
    );
    return rows.length > 0;
  }

  /** How many a sweep would time out now, counted up to `limit`. */
  async count(scope: TenantScope, due: Due, limit: number | null, limits: TransactionLimits): Promise<number> {
    const parameters = new SqlParameters();
    const { count } = await queryRow<{ count: number }>(
      this.dataSource,
      { ...limits, plans: 'any' },
      `SELECT count(*)::int AS count FROM (
         SELECT FROM ${this.watched.name} e
          WHERE ${this.isDue(scope, due, parameters)}
            AND NOT EXISTS (SELECT FROM ${this.schema}.failures f WHERE ${isOf('f', 'e')}
                               AND f.next_try_at > ${parameters.add(due.cutoff)}::timestamptz)
          LIMIT ${limit ?? 'ALL'}) due`,
      parameters.values,
    );
    return count;
  }

  /**
   * The overdue executions that come next and have not failed before, without locking them.
   *
   * Within one tenant or the platform the recommended indexes give the order. A filter that no index serves (project,
   * agent) makes walking an index a read of everything that is overdue in random order; so the planner may not do that.
   */
  async find(scope: TenantScope, due: Due, search: Search<DueExecution>, capacity: Capacity): Promise<DueExecution[]> {
    const parameters = new SqlParameters();
    const { after, limit, exceptTenants, newestFirst } = search;
    const direction = newestFirst ? 'DESC' : 'ASC';
    const isFiltered = due.projectId !== null || due.agentId !== null;
    const conditions = [
      this.isDue(scope, due, parameters),
      after !== null && this.isBeyond(scope, after, newestFirst ? '<' : '>', parameters),
      exceptTenants.length > 0 && `e.tenant_id <> ALL (${parameters.add(exceptTenants)}::text[])`,
      `NOT EXISTS (SELECT FROM ${this.schema}.failures f WHERE ${isOf('f', 'e')})`,
    ];
    // As one JSON document, which the driver reads several times as fast as as many rows.
    const { found } = await queryRow<{ found: FoundExecution[] }>(
      this.dataSource,
      { ...SEARCH_LIMITS, capacity, signal: search.signal, plans: isFiltered ? 'no-index-order' : 'index-order' },
      `SELECT coalesce(json_agg(json_build_array(place, updated_at, tenant_id, project_id, id)), '[]') AS found
         FROM (SELECT e.ctid::text AS place, e.updated_at::text, e.tenant_id, e.project_id, e.id FROM ${this.watched.name} e
                WHERE ${conditions.filter(Boolean).join(' AND ')}
                ORDER BY ${['updated_at', 'tenant_id', 'project_id', 'id'].map((column) => `e.${column} ${direction}`).join(', ')}
                LIMIT ${limit}) found`,
      parameters.values,
    );
    return found.map(([place, updatedAt, tenantId, projectId, id]) => ({ place, updatedAt, tenantId, projectId, id }));
  }

  /** Executions that failed before and are due for another attempt, grouped by tenant; a bounded number of each. */
  async findRetries(scope: TenantScope, due: Due, capacity: Capacity): Promise<DueExecution[]> {
    const parameters = new SqlParameters();
    const { schema, watched } = this;
    const [cutoff, tenant] = [`${parameters.add(due.cutoff)}::timestamptz`, parameters.add(scope.tenantId)];
    return queryOnce(
      this.dataSource,
      { ...SEARCH_LIMITS, capacity },
      `WITH tenants AS MATERIALIZED (
         SELECT tenant_id, min(next_try_at) AS since FROM ${schema}.failures
          WHERE next_try_at <= ${cutoff} AND (${tenant}::text IS NULL OR tenant_id = ${tenant})
          GROUP BY tenant_id)
       SELECT ${COLUMNS}
         FROM tenants t
        CROSS JOIN LATERAL (
          SELECT * FROM ${schema}.failures f
           WHERE f.tenant_id = t.tenant_id AND f.next_try_at <= ${cutoff}
           ORDER BY f.next_try_at LIMIT ${MAX_RETRIES_PER_TENANT}) f
        CROSS JOIN LATERAL ${watched.byKeyOf('f')} k
         JOIN ${watched.name} e ON e.ctid = k.place AND ${isOf('f', 'e')}
        WHERE k.id = f.execution_id AND ${this.isDue(scope, due, parameters)}
        ORDER BY t.since, t.tenant_id, f.next_try_at`,
      parameters.values,
    );
  }

  /**
   * Times out a batch: updates, ledger rows and counts in one statement, so that they are all true or none is.
   *
   * `claimed` is what of the items is still due and nobody else is changing: the locks are taken on the newest version of
   * each row, which is checked again. The update repeats the condition, though nothing can have changed a claimed row: no
   * plan, trigger or later edit of this statement can then fail an execution that was resumed. Rows are found by their
   * physical place, which needs no index and so can't be planned badly on stale statistics, and by their key, which makes
   * it the same row in any partition. CTEs are MATERIALIZED, because PostgreSQL may evaluate a subquery more than once.
   */
  async timeOut(scope: TenantScope, due: Due, batch: TimeoutBatch, transaction: QueryRunner): Promise<BatchOutcome> {
    const { watched, schema } = this;
    const parameters = new SqlParameters();
    const sweepId = `${parameters.add(batch.sweepId)}::uuid`;
    const items = batch.items.map(({ place, tenantId, projectId, id }) => [place, tenantId, projectId, id]);
    const [row] = await transaction.query(
      `WITH candidates AS MATERIALIZED (
        SELECT (item ->> 0)::tid AS place, item ->> 1 AS tenant_id, item ->> 2 AS project_id, item ->> 3 AS id
          FROM jsonb_array_elements(${parameters.add(JSON.stringify(items))}::jsonb) item
      ),
      moment AS MATERIALIZED (${momentSql(watched, schema, sweepId)}),
      claimed AS MATERIALIZED (
        SELECT c.place, e.tenant_id, e.project_id, e.id, e.updated_at,
               ${unrestorable('e.metadata')} AS original_metadata
          FROM candidates c
          JOIN ${watched.name} e
            ON e.ctid = c.place
           AND e.tenant_id = c.tenant_id AND e.project_id = c.project_id AND e.id = c.id
         WHERE ${this.isDue(scope, due, parameters)}
           FOR NO KEY UPDATE OF e SKIP LOCKED
      ),
      timed_out AS (
        UPDATE ${watched.name} e
           SET status = 'failed',
               updated_at = moment.updated_at,
               metadata = ${asObject('e.metadata')} || moment.metadata
          FROM claimed CROSS JOIN moment
         WHERE e.ctid = claimed.place
           AND e.tenant_id = claimed.tenant_id AND e.project_id = claimed.project_id AND e.id = claimed.id
           AND e.updated_at = claimed.updated_at
           AND ${this.isDue(scope, due, parameters)}
        RETURNING e.status, e.tenant_id, e.project_id, e.id, e.agent_id, e.conversation_id,
                  ${shortened("e.metadata #>> '{pendingToolApproval,toolCallId}'")} AS tool_call_id,
                  ${shortened("e.metadata #>> '{pendingToolApproval,toolName}'")} AS tool_name,
                  claimed.original_metadata, ${watched.updatedAt('claimed')} AS suspended_since,
                  ${rowUpdatedAt(watched)} AS row_updated_at, ${watched.createdAt('e')} AS row_created_at
      ),
      recorded AS (
        INSERT INTO ${schema}.timeouts (id, sweep_id, tenant_id, project_id, execution_id, agent_id, conversation_id,
                                        tool_call_id, tool_name, suspended_since, deadline, timed_out_at,
                                        row_updated_at, row_created_at, original_metadata, trigger)
        SELECT (moment.id_prefix || lpad(to_hex(moment.id_start + row_number() OVER ()), 12, '0'))::uuid,
               ${sweepId}, tenant_id, project_id, id, agent_id, conversation_id, tool_call_id, tool_name,
               suspended_since, suspended_since + make_interval(secs => ${parameters.add(due.timeoutSeconds)}::int), statement_timestamp(),
               row_updated_at, row_created_at, original_metadata, moment.trigger
          FROM timed_out CROSS JOIN moment
         WHERE status = 'failed'
        RETURNING id
      ),
      recovered AS (
        DELETE FROM ${schema}.failures f USING timed_out t
         WHERE f.tenant_id = t.tenant_id AND f.project_id = t.project_id AND f.execution_id = t.id
      ),
      counts AS (
        SELECT (SELECT count(*)::int FROM candidates) - (SELECT count(*)::int FROM claimed) AS skipped,
               (SELECT count(*)::int FROM claimed) AS claimed,
               (SELECT count(*)::int FROM recorded) AS timed_out
      ),
      counted AS (${countBatchSql(
        schema,
        { sweepId, mark: batch.mark },
        { done: 'counts.timed_out', timed_out: 'counts.timed_out', skipped: 'counts.skipped' },
        'counts',
        parameters,
      )})
      SELECT counts.timed_out AS done, counts.claimed - counts.timed_out AS suppressed,
             EXISTS (SELECT FROM counted) AS counted,
             CASE WHEN ${hasAfterTriggers(watched)} THEN ARRAY(SELECT id FROM recorded) END AS "toReadBack"
        FROM counts`,
      parameters.values,
    );
    const { toReadBack, ...outcome } = row;
    return outcome.counted && toReadBack?.length ? this.readBack(outcome, toReadBack, transaction) : outcome;
  }

  /** What triggers of the host have changed belongs to the timeout; an execution that they kept from failing is none. */
  private async readBack(outcome: BatchOutcome, timeoutIds: string[], transaction: QueryRunner): Promise<BatchOutcome> {
    await transaction.query(FIRE_DEFERRED_TRIGGERS);
    const sql = readBackTimedOut(this.watched, this.schema, '$1::uuid[]');
    const [{ suppressed }] = await transaction.query(sql, [timeoutIds]);
    return { ...outcome, done: outcome.done - suppressed, suppressed: outcome.suppressed + suppressed };
  }

  private isDue(scope: TenantScope, due: Due, parameters: SqlParameters): string {
    const conditions = [
      this.watched.isOverdue('e', parameters.add(due.cutoff), parameters.add(due.timeoutSeconds)),
      scope.tenantId !== null && `e.tenant_id = ${parameters.add(scope.tenantId)}`,
      due.projectId !== null && `e.project_id = ${parameters.add(due.projectId)}`,
      due.agentId !== null && `e.agent_id = ${parameters.add(due.agentId)}`,
    ];
    return conditions.filter(Boolean).join(' AND ');
  }

  /** Within one tenant the tenant is left out of the comparison, so that the index that begins with it serves it whole. */
  private isBeyond(scope: TenantScope, position: DueExecution, beyond: '<' | '>', parameters: SqlParameters): string {
    const updatedAt = this.watched.fromText(parameters.add(position.updatedAt));
    const tenant =
      scope.tenantId === null
        ? { column: 'e.tenant_id, ', value: `${parameters.add(position.tenantId)}, ` }
        : { column: '', value: '' };
    return `(e.updated_at, ${tenant.column}e.project_id, e.id) ${beyond}
            (${updatedAt}, ${tenant.value}${parameters.add(position.projectId)}, ${parameters.add(position.id)})`;
  }
}

const COLUMNS = `e.ctid::text AS place, e.updated_at::text AS "updatedAt", e.tenant_id AS "tenantId",
                 e.project_id AS "projectId", e.id`;

/** SQL: whether a failure is the failure of an execution. */
function isOf(failure: string, execution: string): string {
  return `${failure}.tenant_id = ${execution}.tenant_id AND ${failure}.project_id = ${execution}.project_id
          AND ${failure}.execution_id = ${execution}.id`;
}
