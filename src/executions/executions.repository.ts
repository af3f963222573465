import { Injectable } from '@nestjs/common';
import type { QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import {
  type BoundedPage,
  type BoundedRows,
  boundedPageSql,
  boundedRows,
  type SortKey,
  shortened,
} from '../database/bounded-page.js';
import { equalities, inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { type StoredToolApproval, toolApproval } from './tool-approval.sql.js';
import { WatchedReads } from './watched-reads.js';
import { WatchedTable } from './watched-table.js';

export interface ExecutionFilter {
  projectId: string | undefined;
  agentId: string | undefined;
  conversationId: string | undefined;
  status: string;
  /** Undefined: whether overdue or not. */
  overdue: boolean | undefined;
  timeoutSeconds: number;
}

export interface ExecutionRow {
  tenantId: string;
  projectId: string;
  id: string;
  agentId: string | null;
  conversationId: string | null;
  requestId: string | null;
  status: string | null;
  suspendedSince: Date | null;
  deadline: Date | null;
  overdue: boolean;
  /** Null if the host says nothing that can be understood. */
  approval: StoredToolApproval | null;
  createdAt: Date | null;
  updatedAt: Date | null;
  /** The sort key, as the database writes it: a JavaScript date would drop microseconds. */
  position: readonly string[];
}

/** A stretch of a list in one order. */
type Part = Pick<BoundedPage, 'key' | 'nullBeforeKey' | 'after' | 'limit'> & { served?: string[] };

const KEY: SortKey = [
  ['tenant_id', 'text'],
  ['project_id', 'text'],
  ['id', 'text'],
];

/** Reads executions of the watched table. */
@Injectable()
export class ExecutionsRepository {
  constructor(
    private readonly reads: WatchedReads,
    private readonly watched: WatchedTable,
  ) {}

  async find(
    scope: TenantScope,
    { tenantId, projectId, executionId }: { tenantId: string; projectId: string; executionId: string },
    timeoutSeconds: number,
  ): Promise<ExecutionRow | null> {
    const key = { tenant_id: tenantId, project_id: projectId, id: executionId };
    const [found] = await this.reads.read<ExecutionRow>(
      (parameters) =>
        `SELECT ${this.columns('whole', timeoutSeconds, parameters)}, '[]'::json AS position
           FROM ${this.watched.name} e
          WHERE ${[...inScope(scope, parameters), ...equalities(key, parameters)].join(' AND ')}
          LIMIT 1`,
    );
    return found ?? null;
  }

  /** Suspended executions in the order of their suspension, others in that of their keys. */
  list(
    scope: TenantScope,
    filter: ExecutionFilter,
    limit: number,
    after: readonly string[] | undefined,
  ): Promise<BoundedRows<ExecutionRow>> {
    return this.reads.run(async (transaction) => {
      const key = this.sortKey(scope, filter.status);
      const page = (part: Part) => this.page(transaction, scope, filter, part);
      if (filter.status !== 'suspended' || filter.overdue !== undefined || !this.watched.updatedAtNullable) {
        return page({ key, after, limit });
      }
      const isAmongUndated = after?.length === key.length - 1;
      const dated = isAmongUndated
        ? { rows: [], goesOnAfter: undefined }
        : await page({ key, after, limit, served: ['e.updated_at IS NOT NULL'] });
      if (dated.rows.length === limit || dated.goesOnAfter !== undefined) {
        return dated;
      }
      const undated = await page({
        key: key.slice(1),
        nullBeforeKey: 'updated_at',
        after: isAmongUndated ? after : undefined,
        limit: limit - dated.rows.length,
      });
      return { ...undated, rows: [...dated.rows, ...undated.rows] };
    });
  }

  private async page(
    transaction: QueryRunner,
    scope: TenantScope,
    filter: ExecutionFilter,
    { served = [], ...part }: Part,
  ): Promise<BoundedRows<ExecutionRow>> {
    const parameters = new SqlParameters();
    const columns = this.columns('list', filter.timeoutSeconds, parameters);
    const conditions = this.conditions(scope, filter, parameters);
    const sql = boundedPageSql(
      {
        ...part,
        ...conditions,
        served: [...conditions.served, ...served],
        table: this.watched.name,
        columns,
        direction: 'ASC',
      },
      parameters,
    );
    return boundedRows(await transaction.query(sql, parameters.values));
  }

  private columns(detail: 'list' | 'whole', timeoutSeconds: number, parameters: SqlParameters): string {
    const timeout = parameters.add(timeoutSeconds);
    const since = this.watched.updatedAt('e');
    const text = (column: string) => (detail === 'list' ? shortened(column) : column);
    return `e.tenant_id AS "tenantId", e.project_id AS "projectId", e.id, ${text('e.agent_id')} AS "agentId",
            ${text('e.conversation_id')} AS "conversationId", ${text('e.request_id')} AS "requestId", e.status,
            CASE WHEN e.status = 'suspended' THEN ${since} END AS "suspendedSince",
            CASE WHEN e.status = 'suspended' THEN ${this.watched.deadline('e', timeout)} END AS deadline,
            coalesce(${this.watched.isOverdue('e', 'statement_timestamp()', timeout)}, false) AS overdue,
            ${toolApproval('e.metadata', detail)} AS approval,
            ${this.watched.createdAt('e')} AS "createdAt", ${since} AS "updatedAt"`;
  }

  private sortKey(scope: TenantScope, status: string): SortKey {
    if (status !== 'suspended') {
      return KEY;
    }
    return [['updated_at', this.watched.updatedAtType], ...(scope.tenantId === null ? KEY : KEY.slice(1))];
  }

  /** In one project the host's index on conversations serves everything: a conversation has few executions. */
  private conditions(
    scope: TenantScope,
    { projectId, agentId, conversationId, status, overdue, timeoutSeconds }: ExecutionFilter,
    parameters: SqlParameters,
  ): Pick<BoundedPage, 'served' | 'unserved' | 'sorted'> {
    const ofTenant = scope.tenantId !== null;
    const project = equalities({ project_id: projectId }, parameters);
    const others = equalities({ agent_id: agentId, conversation_id: conversationId }, parameters);
    const served = inScope(scope, parameters);
    const unserved: string[] = [];
    if (overdue !== undefined) {
      const timeout = parameters.add(timeoutSeconds);
      served.push(this.watched[overdue ? 'isOverdue' : 'isWaiting']('e', 'statement_timestamp()', timeout));
    } else {
      (status === 'suspended' ? served : unserved).push(...equalities({ status }, parameters));
    }
    if (ofTenant && projectId !== undefined && conversationId !== undefined) {
      return { served: [...served, ...project, ...others, ...unserved], unserved: [], sorted: true };
    }
    (ofTenant && status !== 'suspended' ? served : unserved).push(...project);
    return { served, unserved: [...unserved, ...others] };
  }
}
