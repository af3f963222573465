import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, QueryRunner } from 'typeorm';
import { leastIdAt } from '../database/least-id.js';
import { schemaOf } from '../database/schema-of.js';
import { WatchedTable } from '../executions/watched-table.js';

/** An execution that left `failed` after its timeout without being reopened. */
export interface Resurrection {
  timeoutId: string;
  tenantId: string;
  projectId: string;
  executionId: string;
  status: string;
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
   * Looks at the timeouts of the last seven days that come after those of the last look, and records once what has come
   * back. After the youngest the next look begins with the oldest again. It is to run in a short transaction.
   *
   * One snapshot shows a timeout and its execution, and both ways out of it, the sweep's and the reopening, change the
   * two in one transaction: what it sees is never half of either. The update repeats that nobody has reopened it since.
   *
   * @returns how many it looked at: fewer than `limit` where it came to the youngest.
   */
  async recordNextAcrossTenants(
    limit: number,
    transaction: QueryRunner,
  ): Promise<{ looked: number; found: Resurrection[] }> {
    const { schema, watched } = this;
    const [row] = await transaction.query(
      `WITH looked AS MATERIALIZED (
        SELECT t.id, t.tenant_id, t.project_id, t.execution_id
          FROM ${schema}.timeouts t
         WHERE t.id > greatest((SELECT watched_until FROM ${schema}.timeouts_watch),
                               ${leastIdAt(`statement_timestamp() - interval '7 days'`)})
           AND t.resurrected_at IS NULL AND t.reopened_at IS NULL
         ORDER BY t.id LIMIT ${limit}
      ),
      back AS MATERIALIZED (
        SELECT l.id, e.status
          FROM looked l
         CROSS JOIN LATERAL ${watched.byKeyOf('l')} e
         WHERE e.id = l.execution_id AND e.status <> 'failed'
      ),
      recorded AS (
        UPDATE ${schema}.timeouts t
           SET resurrected_at = statement_timestamp(),
               resurrected_status = (SELECT status FROM back WHERE back.id = t.id)
         WHERE t.id = ANY (ARRAY(SELECT id FROM back)) AND t.resurrected_at IS NULL AND t.reopened_at IS NULL
        RETURNING t.id, t.tenant_id, t.project_id, t.execution_id, t.resurrected_status AS status
      ),
      moved AS (
        UPDATE ${schema}.timeouts_watch w SET watched_until = next.id
          FROM (SELECT CASE WHEN count(*) = ${limit} THEN (array_agg(id ORDER BY id DESC))[1] END AS id FROM looked) next
         WHERE w.watched_until IS DISTINCT FROM next.id
      )
      SELECT (SELECT count(*)::int FROM looked) AS looked,
             coalesce((SELECT json_agg(json_build_object('timeoutId', id, 'tenantId', tenant_id, 'projectId', project_id,
                                                         'executionId', execution_id, 'status', status) ORDER BY id)
                         FROM recorded), '[]') AS found`,
    );
    return row;
  }
}
