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

  /** Where the last look ended; null where it ended with the youngest timeout, or there was none yet. */
  async positionAcrossTenants(transaction: QueryRunner): Promise<string | null> {
    const [row] = await transaction.query(`SELECT watched_until FROM ${this.schema}.timeouts_watch`);
    return row?.watched_until ?? null;
  }

  async movePositionAcrossTenants(position: string | null, transaction: QueryRunner): Promise<void> {
    await (position === null
      ? transaction.query(`DELETE FROM ${this.schema}.timeouts_watch`)
      : transaction.query(
          `INSERT INTO ${this.schema}.timeouts_watch (watched_until) VALUES ($1)
           ON CONFLICT (only_row) DO UPDATE SET watched_until = excluded.watched_until`,
          [position],
        ));
  }

  /**
   * Looks at the timeouts that come after a position, of the last seven days, and records once what has come back.
   *
   * One snapshot shows a timeout and its execution, and both ways out of it, the sweep's and the reopening, change the
   * two in one transaction: what it sees is never half of either. The update repeats that nobody has reopened it since.
   *
   * @returns `last`, where to go on; null where no timeout is left.
   */
  async recordNextAcrossTenants(
    after: string | null,
    limit: number,
    transaction: QueryRunner,
  ): Promise<{ last: string | null; looked: number; found: Resurrection[] }> {
    const { schema, watched } = this;
    const [row] = await transaction.query(
      `WITH looked AS MATERIALIZED (
        SELECT t.id, t.tenant_id, t.project_id, t.execution_id
          FROM ${schema}.timeouts t
         WHERE t.id > greatest($1::uuid, ${leastIdAt(`statement_timestamp() - interval '7 days'`)})
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
      )
      SELECT (SELECT count(*)::int FROM looked) AS looked,
             (SELECT id FROM looked ORDER BY id DESC LIMIT 1) AS last,
             coalesce((SELECT json_agg(json_build_object('timeoutId', id, 'tenantId', tenant_id, 'projectId', project_id,
                                                         'executionId', execution_id, 'status', status) ORDER BY id)
                         FROM recorded), '[]') AS found`,
      [after],
    );
    return row;
  }
}
