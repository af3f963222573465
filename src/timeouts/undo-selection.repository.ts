import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { idBefore, idSince } from '../database/least-id.js';
import { schemaOf } from '../database/schema-of.js';
import { queryOnce, queryRow } from '../database/short-transaction.js';
import { equalities, inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { WatchedTable } from '../executions/watched-table.js';
import type { BatchMark, BatchOutcome, Search } from '../sweeps/batch-job.js';
import { isAsLeft } from './as-left.sql.js';
import { COUNT_OUTCOMES, countUndoSql, type FoundTimeout } from './reopenings.repository.js';
import type { UndoSelection } from './undo-selection.js';

/** A search reads what is selected once, however much that is; filters by project and agent have no index. */
const SEARCH_LIMITS = { statementTimeout: 60_000, lockTimeout: 1_000, capacity: 'sweeps' } as const;

/** Finds the timeouts that an undo takes back, and previews what would become of them. */
@Injectable()
export class UndoSelectionRepository {
  private readonly schema: string;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly watched: WatchedTable,
  ) {
    this.schema = schemaOf(dataSource);
  }

  /** The timeouts that come next, in the order of their ids. */
  find(scope: TenantScope, selection: UndoSelection, search: Search<FoundTimeout>): Promise<FoundTimeout[]> {
    const parameters = new SqlParameters();
    const { after, limit, tenantId, exceptTenants, newestFirst, signal } = search;
    const conditions = [
      ...this.selected(scope.narrowedTo(tenantId ?? undefined), selection, parameters),
      after !== null && `t.id ${newestFirst ? '<' : '>'} ${parameters.add(after.id)}::uuid`,
      exceptTenants.length > 0 && `t.tenant_id <> ALL (${parameters.add(exceptTenants)}::text[])`,
    ];
    return queryOnce(
      this.dataSource,
      { ...SEARCH_LIMITS, signal },
      `SELECT t.id, t.tenant_id AS "tenantId" FROM ${this.schema}.timeouts t
        WHERE ${conditions.filter(Boolean).join(' AND ')}
        ORDER BY t.id ${newestFirst ? 'DESC' : 'ASC'} LIMIT ${limit}`,
      parameters.values,
    );
  }

  /** How many timeouts there are, and the longest timeout by which they were timed out, in seconds; null if there is none. */
  summarize(
    scope: TenantScope,
    selection: UndoSelection,
  ): Promise<{ expected: number; longestTimeoutSeconds: number | null }> {
    const parameters = new SqlParameters();
    return queryRow(
      this.dataSource,
      SEARCH_LIMITS,
      `SELECT count(*)::int AS expected,
              greatest(max(extract(epoch FROM t.deadline - t.suspended_since)), 1)::int AS "longestTimeoutSeconds"
         FROM ${this.schema}.timeouts t WHERE ${this.selected(scope, selection, parameters).join(' AND ')}`,
      parameters.values,
    );
  }

  /** Counts what would become of timeouts if they were reopened now, and changes nothing else. */
  async preview(
    scope: TenantScope,
    timeoutIds: readonly string[],
    undo: { id: string; mark: BatchMark },
    transaction: QueryRunner,
  ): Promise<BatchOutcome> {
    const { watched, schema } = this;
    const parameters = new SqlParameters();
    const undoId = `${parameters.add(undo.id)}::uuid`;
    const [{ found, counted }] = await transaction.query(
      `WITH outcomes AS MATERIALIZED (
         SELECT CASE WHEN t.reopened_at IS NOT NULL THEN 'already_reopened'
                     WHEN e.id IS NULL THEN 'gone'
                     WHEN ${isAsLeft(watched, 't')} THEN 'reopened'
                     ELSE 'changed_since' END AS outcome
           FROM ${schema}.timeouts t
           LEFT JOIN LATERAL ${watched.byKeyOf('t')} e ON e.id = t.execution_id
          WHERE ${[`t.id = ANY (${parameters.add(timeoutIds)}::uuid[])`, ...inScope(scope, parameters, 't')].join(' AND ')}
       ),
       ${COUNT_OUTCOMES},
       ${countUndoSql(schema, { sweepId: undoId, mark: undo.mark }, parameters)}
       SELECT n.found, EXISTS (SELECT FROM counted) AS counted FROM n`,
      parameters.values,
    );
    return { done: found, suppressed: 0, counted };
  }

  /**
   * SQL: conditions that select timeouts `t` so that one index serves them, in the order of the ids.
   *
   * - All of a sweep: that of the sweep. What else must hold is written so that no index serves it.
   * - A tenant's of a sweep of the platform: that of the tenant, between the times of the sweep.
   * - Of a period: that of the tenant, or the primary key, between its two times.
   */
  private selected(scope: TenantScope, selection: UndoSelection, parameters: SqlParameters): string[] {
    const { sweep, from, to, cutoff, projectId, agentId } = selection;
    const at = (moment: string | Date) => `${parameters.add(moment)}::timestamptz`;
    const now = 'statement_timestamp()';
    const conditions = equalities(
      { project_id: projectId ?? undefined, agent_id: agentId ?? undefined },
      parameters,
      't',
    );
    if (sweep !== null && (scope.tenantId === null || scope.tenantId === sweep.tenantId)) {
      conditions.push(`t.sweep_id = ${parameters.add(sweep.id)}::uuid`);
      if (scope.tenantId !== null) {
        conditions.push(`(t.tenant_id || '') = ${parameters.add(scope.tenantId)}`);
      }
    } else {
      const first = sweep ? at(sweep.startedAt) : at(from as string);
      const last = sweep ? (sweep.finishedAt ? at(sweep.finishedAt) : now) : at(to as string);
      conditions.push(...inScope(scope, parameters, 't'), idSince('t.id', first), idBefore('t.id', last));
      if (sweep) {
        conditions.push(`t.sweep_id::text = ${parameters.add(sweep.id)}`);
      }
    }
    if (from !== null) {
      conditions.push(`t.timed_out_at >= ${at(from)}`);
    }
    if (to !== null) {
      conditions.push(`t.timed_out_at < ${at(to)}`);
    }
    if (sweep === null) {
      conditions.push(`t.timed_out_at <= ${cutoff === null ? now : at(cutoff)}`);
    }
    return conditions;
  }
}
