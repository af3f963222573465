import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { type BoundedPage, type BoundedRows, boundedPage, type SortKey } from '../database/bounded-page.js';
import { equalities, inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';
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
  agentId: string;
  conversationId: string;
  requestId: string | null;
  status: string;
  suspendedSince: Date | null;
  deadline: Date | null;
  overdue: boolean;
  /** `metadata.pendingToolApproval`, whatever the host keeps there. */
  pending: unknown;
  createdAt: Date;
  updatedAt: Date;
  /** The sort key, as the database writes it: a JavaScript date would drop microseconds. */
  position: readonly string[];
}

const KEY: SortKey = [
  ['tenant_id', 'text'],
  ['project_id', 'text'],
  ['id', 'text'],
];

/** Reads executions of the watched table. */
@Injectable()
export class ExecutionsRepository {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly watched: WatchedTable,
  ) {}

  async find(
    scope: TenantScope,
    { tenantId, projectId, executionId }: { tenantId: string; projectId: string; executionId: string },
    timeoutSeconds: number,
  ): Promise<ExecutionRow | null> {
    const parameters = new SqlParameters();
    const key = { tenant_id: tenantId, project_id: projectId, id: executionId };
    const [found] = await this.dataSource.query(
      `SELECT ${this.columns(timeoutSeconds, parameters)}, '[]'::json AS position
         FROM ${this.watched.name} e
        WHERE ${[...inScope(scope, parameters), ...equalities(key, parameters)].join(' AND ')}`,
      parameters.values,
    );
    return found ?? null;
  }

  /** Suspended executions in the order of their suspension, others in that of their keys. */
  async list(
    scope: TenantScope,
    filter: ExecutionFilter,
    limit: number,
    after: readonly string[] | undefined,
  ): Promise<BoundedRows<ExecutionRow>> {
    const parameters = new SqlParameters();
    return boundedPage(
      this.dataSource,
      {
        table: this.watched.name,
        columns: this.columns(filter.timeoutSeconds, parameters),
        ...this.conditions(scope, filter, parameters),
        key: this.sortKey(scope, filter.status),
        direction: 'ASC',
        after,
        limit,
      },
      parameters,
    );
  }

  private columns(timeoutSeconds: number, parameters: SqlParameters): string {
    const timeout = parameters.add(timeoutSeconds);
    const since = this.watched.updatedAt('e');
    return `e.tenant_id AS "tenantId", e.project_id AS "projectId", e.id, e.agent_id AS "agentId",
            e.conversation_id AS "conversationId", e.request_id AS "requestId", e.status,
            CASE WHEN e.status = 'suspended' THEN ${since} END AS "suspendedSince",
            CASE WHEN e.status = 'suspended' THEN ${this.watched.deadline('e', timeout)} END AS deadline,
            ${this.watched.isOverdue('e', 'statement_timestamp()', timeout)} AS overdue,
            e.metadata -> 'pendingToolApproval' AS pending,
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
  ): Pick<BoundedPage, 'served' | 'unserved'> {
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
      return { served: [...served, ...project, ...others, ...unserved], unserved: [] };
    }
    (ofTenant && status !== 'suspended' ? served : unserved).push(...project);
    return { served, unserved: [...unserved, ...others] };
  }
}
