import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, QueryRunner } from 'typeorm';
import { leastIdAt } from '../database/least-id.js';
import { schemaOf } from '../database/schema-of.js';
import { WatchedTable } from '../executions/watched-table.js';
import { isTimedOut } from '../sweeps/timeout-markers.js';

/** An execution that left `failed` after its timeout without being reopened. */
export interface Resurrection {
  timeoutId: string;
  tenantId: string;
  projectId: string;
  executionId: string;
  /** `failed` if it came back and has failed again. */
  status: string;
}

export interface ResurrectionsFound {
  /** How many timeouts were examined: fewer than the limit if the youngest is among them. */
  looked: number;
  found: number;
  /** Some of those found. */
  examples: Resurrection[];
}

/** Finds timed-out executions that came back by themselves. */
@Injectable()
export class ResurrectionsRepository {
  private readonly schema: string;

  constructor(
    @InjectDataSource() dataSource: DataSource,
    private readonly watched: WatchedTable,
  ) {
    this.schema = schemaOf(dataSource);
  }

  /**
   * Examines the timeouts of the last seven days that come after those of the last look, and records once which
   * executions have come back. After the youngest the next look begins with the oldest again. Runs in a short transaction.
   *
   * One snapshot shows a timeout and its execution, and each way out of it (a sweep, a reopening) changes the two in one
   * transaction: what it sees is never half of either. The ledger rows are locked in their newest version, which is
   * checked again; a row that a reopening or another look has locked is skipped, and examined in the next round.
   */
  async recordNextAcrossTenants(
    { limit, examples }: { limit: number; examples: number },
    transaction: QueryRunner,
  ): Promise<ResurrectionsFound> {
    const { schema, watched } = this;
    const [row] = await transaction.query(
      `WITH looked AS MATERIALIZED (
        SELECT t.id, t.sweep_id, t.tenant_id, t.project_id, t.execution_id, t.timed_out_at, t.row_created_at,
               t.ctid AS place
          FROM ${schema}.timeouts t
         WHERE t.id > greatest((SELECT watched_until FROM ${schema}.timeouts_watch),
                               ${leastIdAt(`statement_timestamp() - interval '7 days'`)})
           AND t.resurrected_at IS NULL AND t.reopened_at IS NULL
         ORDER BY t.id LIMIT ${limit}
      ),
      back AS MATERIALIZED (
        SELECT l.place, l.id, ${this.statusSeen()} AS status
          FROM looked l
         CROSS JOIN LATERAL ${watched.byKeyOf('l')} e
         WHERE e.id = l.execution_id
           AND ${watched.createdAt('e')} = coalesce(l.row_created_at, ${watched.createdAt('e')})
           AND CASE WHEN e.status = 'failed' THEN ${this.hasTimedOutAgain()} ELSE true END
      ),
      locked AS MATERIALIZED (
        SELECT back.place, back.id, back.status
          FROM back JOIN ${schema}.timeouts t ON t.ctid = back.place AND t.id = back.id
         WHERE t.resurrected_at IS NULL AND t.reopened_at IS NULL
           FOR NO KEY UPDATE OF t SKIP LOCKED
      ),
      recorded AS (
        UPDATE ${schema}.timeouts t
           SET resurrected_at = statement_timestamp(), resurrected_status = locked.status
          FROM locked
         WHERE t.ctid = locked.place AND t.id = locked.id AND t.resurrected_at IS NULL AND t.reopened_at IS NULL
        RETURNING t.id, t.tenant_id, t.project_id, t.execution_id, t.resurrected_status AS status
      ),
      moved AS (
        UPDATE ${schema}.timeouts_watch w SET watched_until = next.id
          FROM (SELECT CASE WHEN count(*) = ${limit} THEN (array_agg(id ORDER BY id DESC))[1] END AS id FROM looked) next
         WHERE w.watched_until IS DISTINCT FROM next.id
      )
      SELECT (SELECT count(*)::int FROM looked) AS looked,
             (SELECT count(*)::int FROM recorded) AS found,
             coalesce((SELECT json_agg(json_build_object('timeoutId', id, 'tenantId', tenant_id, 'projectId', project_id,
                                                         'executionId', execution_id, 'status', status))
                         FROM (SELECT * FROM recorded LIMIT ${examples}) r), '[]') AS examples`,
    );
    return row;
  }

  /**
   * SQL: what the status of the execution `e` says about the timeout `l`. Only the latest timeout is judged by the
   * present status. If a later one was reopened, that is what the status comes from, and this one's execution had come
   * back before and failed again.
   */
  private statusSeen(): string {
    return `CASE WHEN EXISTS (
              SELECT FROM ${this.schema}.timeouts n
               WHERE n.tenant_id = l.tenant_id AND n.project_id = l.project_id AND n.execution_id = l.execution_id
                 AND n.reopened_at IS NOT NULL AND n.id > l.id)
            THEN 'failed' ELSE e.status END`;
  }

  /**
   * SQL: whether the failed execution `e` carries the marker of a later sweep than that of the timeout `l`: then it was
   * suspended in between. Other metadata shows nothing: a host may rewrite that of a failed execution.
   *
   * An execution that still has our own moment in `updated_at` hasn't timed out again. That is asked first, because
   * reading metadata may mean to decompress it.
   */
  private hasTimedOutAgain(): string {
    const sweepId = `e.metadata ->> 'sweepId'`;
    return `CASE WHEN ${this.watched.updatedAt('e')} = l.timed_out_at THEN false
                 WHEN ${isTimedOut('e.metadata')} AND ${sweepId} <> l.sweep_id::text AND ${sweepId} ~ '${UUID}'
                 THEN EXISTS (
                   SELECT FROM ${this.schema}.sweeps s
                    WHERE s.id = (${sweepId})::uuid AND s.id > l.sweep_id
                      AND s.undoes IS NULL AND NOT s.dry_run AND coalesce(s.tenant_id, l.tenant_id) = l.tenant_id)
                 ELSE false END`;
  }
}

const UUID = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';
