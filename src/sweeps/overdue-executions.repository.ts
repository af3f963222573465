import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { schemaOf } from '../database/schema-of.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { WatchedTable } from '../executions/watched-table.js';
import { FIRE_DEFERRED_TRIGGERS, hasAfterTriggers, readBackTimedOut, rowUpdatedAt } from './host-triggers.sql.js';
import { isInLane, type Lane } from './lane.js';
import { asObject, isTimedOut, MARKERS } from './timeout-markers.js';

/** Which executions a sweep is about. The cutoff is one moment of the database's clock, as ISO text to the microsecond. */
export interface Due {
  projectId: string | null;
  agentId: string | null;
  timeoutSeconds: number;
  cutoff: string;
}

/** Where an execution stands in the order of a sweep: oldest first. All of it is text that the database wrote. */
export interface DuePosition {
  updatedAt: string;
  tenantId: string;
  projectId: string;
  id: string;
}

/** Where a batch takes its executions: the next `limit` of a lane after a position, or one execution alone. */
export type Place = { lane: Lane; after: DuePosition | null; limit: number } | { only: DuePosition };

export type Batch = { sweepId: string } & Place;

export interface BatchResult {
  /** How many were due when the batch began. */
  found: number;
  timedOut: number;
  /** Claimed by us and yet unchanged: something in the host's table suppressed the update. */
  suppressed: number;
  /** The last one that was found; null where none was. */
  last: DuePosition | null;
  cancelRequested: boolean;
}

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
   * Cheap enough for every idle tick: one probe of the index, without the machinery of a batch. The order makes it that:
   * on stale statistics the planner would else read the table until it meets a row, and there is none.
   */
  async anyDue(scope: TenantScope, due: Due): Promise<boolean> {
    const parameters = new SqlParameters();
    const rows = await this.dataSource.query(
      `SELECT FROM ${this.watched.name} e WHERE ${this.isDue(scope, due, parameters)} ORDER BY e.updated_at LIMIT 1`,
      parameters.values,
    );
    return rows.length > 0;
  }

  /** How many a sweep would deal with now, counted up to `limit`. */
  async countDue(scope: TenantScope, due: Due, limit: number | null, transaction: QueryRunner): Promise<number> {
    const parameters = new SqlParameters();
    const [{ count }] = await transaction.query(
      `SELECT count(*)::int AS count FROM (
         SELECT FROM ${this.watched.name} e
          WHERE ${this.isDue(scope, due, parameters)} AND ${this.isNotPaused(due, parameters)}
          LIMIT ${limit ?? 'ALL'}) due`,
      parameters.values,
    );
    return count;
  }

  /** The one that comes next, without claiming it; null where none is left. */
  async nextDue(
    scope: TenantScope,
    due: Due,
    place: { lane: Lane; after: DuePosition | null },
    transaction: QueryRunner,
  ): Promise<DuePosition | null> {
    const parameters = new SqlParameters();
    const [next] = await transaction.query(
      this.candidatesSql(scope, due, { ...place, limit: 1 }, parameters),
      parameters.values,
    );
    return next ?? null;
  }

  /**
   * Times out a batch: updates, ledger rows and counts in one statement, so that they are all true or none is.
   *
   * `candidates` is what is due, read without locks. `claimed` is what of it nobody else is changing just now; the
   * locks are taken on the newest version of each row, which is checked again. The update repeats the condition, though
   * nothing can have changed a claimed row: no plan, trigger or later edit of this statement can then fail an execution
   * that was resumed. Rows are met again by their physical place, which needs no index and so can't be planned badly
   * on stale statistics, and by their key, which makes it the same row in any partition. CTEs are MATERIALIZED, because
   * PostgreSQL may evaluate a LIMIT inside a subquery more than once.
   */
  async timeOut(scope: TenantScope, due: Due, batch: Batch, transaction: QueryRunner): Promise<BatchResult> {
    const { watched, schema } = this;
    const parameters = new SqlParameters();
    const sweepId = `${parameters.add(batch.sweepId)}::uuid`;
    const [{ toReadBack, ...result }] = await transaction.query(
      `WITH candidates AS MATERIALIZED (${this.candidatesSql(scope, due, batch, parameters)}),
      moment AS MATERIALIZED (${momentSql(watched, schema, sweepId)}),
      claimed AS MATERIALIZED (
        SELECT c.place, e.tenant_id, e.project_id, e.id, e.updated_at,
               ${unrestorable('e.metadata')} AS original_metadata
          FROM candidates c
          JOIN ${watched.name} e
            ON e.ctid = c.place
           AND e.tenant_id = c."tenantId" AND e.project_id = c."projectId" AND e.id = c.id
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
                  e.metadata #>> '{pendingToolApproval,toolCallId}' AS tool_call_id,
                  e.metadata #>> '{pendingToolApproval,toolName}' AS tool_name,
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
        SELECT (SELECT count(*)::int FROM candidates) AS found,
               (SELECT count(*)::int FROM claimed) AS claimed,
               (SELECT count(*)::int FROM recorded) AS timed_out
      ),
      counted AS (
        UPDATE ${schema}.sweeps s
           SET timed_out = s.timed_out + counts.timed_out, skipped = s.skipped + counts.found - counts.claimed
          FROM counts
         WHERE s.id = ${sweepId}
        RETURNING s.cancel_requested_at IS NOT NULL AS cancel_requested
      )
      SELECT counts.found, counts.timed_out AS "timedOut", counts.claimed - counts.timed_out AS suppressed,
             counted.cancel_requested AS "cancelRequested", to_jsonb(last) AS last,
             CASE WHEN ${hasAfterTriggers(watched)} THEN ARRAY(SELECT id FROM recorded) END AS "toReadBack"
        FROM counts
        CROSS JOIN counted
        LEFT JOIN (SELECT * FROM candidates ORDER BY at DESC, "tenantId" DESC, "projectId" DESC, id DESC LIMIT 1) last ON true`,
      parameters.values,
    );
    return toReadBack?.length ? this.readBack(result, toReadBack, transaction) : result;
  }

  /** What triggers of the host have changed belongs to the timeout; an execution that they kept from failing is none. */
  private async readBack(result: BatchResult, timeoutIds: string[], transaction: QueryRunner): Promise<BatchResult> {
    await transaction.query(FIRE_DEFERRED_TRIGGERS);
    const sql = readBackTimedOut(this.watched, this.schema, '$1::uuid[]');
    const [{ suppressed }] = await transaction.query(sql, [timeoutIds]);
    return { ...result, timedOut: result.timedOut - suppressed, suppressed: result.suppressed + suppressed };
  }

  /** `at` orders candidates by the column's own type; `updatedAt` is the same as text, for the next position. */
  private candidatesSql(scope: TenantScope, due: Due, place: Place, parameters: SqlParameters): string {
    const [where, limit] =
      'only' in place
        ? [this.isAt(place.only, parameters), 1]
        : [`${this.isAfter(scope, place.after, parameters)} AND ${isInLane(place.lane, 'e.id')}`, place.limit];
    return `
      SELECT e.ctid AS place, e.updated_at AS at, e.updated_at::text AS "updatedAt",
             e.tenant_id AS "tenantId", e.project_id AS "projectId", e.id
        FROM ${this.watched.name} e
       WHERE ${this.isDue(scope, due, parameters)} AND ${where} AND ${this.isNotPaused(due, parameters)}
       ORDER BY e.updated_at, e.tenant_id, e.project_id, e.id
       LIMIT ${limit}`;
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

  /** One that failed lately waits for its next try, so that it costs a lookup and not an attempt. */
  private isNotPaused(due: Due, parameters: SqlParameters): string {
    return `NOT EXISTS (
      SELECT FROM ${this.schema}.failures f
       WHERE f.tenant_id = e.tenant_id AND f.project_id = e.project_id AND f.execution_id = e.id
         AND f.next_try_at > ${parameters.add(due.cutoff)}::timestamptz)`;
  }

  /** Within one tenant the tenant stays out of the comparison, so that the index that begins with it serves it whole. */
  private isAfter(scope: TenantScope, after: DuePosition | null, parameters: SqlParameters): string {
    if (after === null) {
      return 'true';
    }
    const updatedAt = this.watched.fromText(parameters.add(after.updatedAt));
    const tenant =
      scope.tenantId === null
        ? { column: 'e.tenant_id, ', value: `${parameters.add(after.tenantId)}, ` }
        : { column: '', value: '' };
    return `(e.updated_at, ${tenant.column}e.project_id, e.id) >
            (${updatedAt}, ${tenant.value}${parameters.add(after.projectId)}, ${parameters.add(after.id)})`;
  }

  private isAt(position: DuePosition, parameters: SqlParameters): string {
    return `e.tenant_id = ${parameters.add(position.tenantId)} AND e.project_id = ${parameters.add(position.projectId)}
            AND e.id = ${parameters.add(position.id)}`;
  }
}

/**
 * What every execution of a batch gets, worked out once: its `metadata` is merged into what the host keeps there. The
 * ids of the ledger rows are UUIDv7 with a counter: 60 random bits that the batch draws once, and in them room to count
 * to 2^14. So they keep the order of the sweep, and cost less than a random one each.
 */
function momentSql(watched: WatchedTable, schema: string, sweepId: string): string {
  return `
    SELECT ${watched.asUpdatedAt('statement_timestamp()')} AS updated_at,
           jsonb_build_object(
             'failureReason', 'approval_timeout',
             'timedOutAt', to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
             'sweepId', ${sweepId}) AS metadata,
           (SELECT trigger FROM ${schema}.sweeps WHERE id = ${sweepId}) AS trigger,
           left(drawn.id::text, 24) AS id_prefix,
           ('x' || right(drawn.id::text, 12))::bit(48)::bigint & ~16383::bigint AS id_start
      FROM (SELECT ${schema}.uuid_v7() AS id) drawn`;
}

/**
 * Metadata that can't be had back by taking our markers away, as a list of the one value, of none where it was NULL;
 * NULL for all other. That of an object is kept where markers would replace members of the host's own.
 */
function unrestorable(metadata: string): string {
  return `CASE WHEN ${metadata} IS NULL THEN '[]'::jsonb
               WHEN jsonb_typeof(${metadata}) <> 'object'
                 OR (${metadata} ?| ${MARKERS} AND NOT coalesce(${isTimedOut(metadata)}, false))
               THEN jsonb_build_array(${metadata}) END`;
}
