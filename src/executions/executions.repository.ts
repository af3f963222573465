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
import {
  conversationsOf,
  type ExecutionFilter,
  matchesFilter,
  matchesRow,
  matchesStatus,
} from './execution-filter.sql.js';
import { ConversationsUnreadableError } from './executions.errors.js';
import { type StoredToolApproval, toolApproval } from './tool-approval.sql.js';
import { WatchedReads } from './watched-reads.js';
import { WatchedTableUnreadableError } from './watched-table.errors.js';
import { WatchedTable } from './watched-table.js';

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

/** Metadata can be large, and has to be unpacked to find the tool's name. */
const MAX_ROWS_BY_TOOL = 5_000;

/** How many projects of whatever tenant a page searches for an id: some microseconds each, in each partition. */
const MAX_PROJECTS = 5_000;
const MAX_PROJECTS_IF_PARTITIONED = 500;

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

  /**
   * Suspended executions in the order of their suspension, others in that of their keys, those of an id in that of
   * tenant and project.
   *
   * @throws ConversationsUnreadableError if the filter names a user and the host's conversations can't be read.
   */
  async list(
    scope: TenantScope,
    filter: ExecutionFilter,
    limit: number,
    after: readonly string[] | undefined,
  ): Promise<BoundedRows<ExecutionRow>> {
    try {
      return await this.reads.run((transaction) =>
        filter.id === undefined
          ? this.listIn(transaction, scope, filter, limit, after)
          : this.listById(transaction, scope, { ...filter, id: filter.id }, limit, after),
      );
    } catch (error) {
      if (filter.userId !== undefined && error instanceof WatchedTableUnreadableError) {
        await this.assertConversationsReadable();
      }
      throw error;
    }
  }

  private async listIn(
    transaction: QueryRunner,
    scope: TenantScope,
    filter: ExecutionFilter,
    limit: number,
    after: readonly string[] | undefined,
  ): Promise<BoundedRows<ExecutionRow>> {
    const key = this.sortKey(scope, filter.status);
    const page = (part: Part) => this.page(transaction, scope, filter, part);
    const isByMoment = filter.overdue !== undefined || filter.waitingSeconds !== undefined;
    if (filter.status !== 'suspended' || isByMoment || !this.watched.updatedAtNullable) {
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
  }

  /**
   * No index leads to an id alone: it is looked up in each project of each tenant in turn. Both the next project and the
   * id there are found by the primary key.
   */
  private async listById(
    transaction: QueryRunner,
    scope: TenantScope,
    filter: ExecutionFilter & { id: string },
    limit: number,
    after: readonly string[] | undefined,
  ): Promise<BoundedRows<ExecutionRow>> {
    const parameters = new SqlParameters();
    const columns = this.columns('list', filter.timeoutSeconds, parameters);
    const id = parameters.add(filter.id);
    const maxProjects = this.watched.partitioned ? MAX_PROJECTS_IF_PARTITIONED : MAX_PROJECTS;
    const conditions = [`e.id = ${id}`, ...matchesFilter(this.watched, filter, parameters)];
    // A tenant's scope leaves only its own projects, and has the search begin at the first of them.
    const next = (place: string | undefined) => `
      SELECT e.tenant_id::text, e.project_id::text FROM ${this.watched.name} e
       WHERE ${[...inScope(scope, parameters), place === undefined ? 'true' : `(e.tenant_id, e.project_id) > (${place})`].join(' AND ')}
       ORDER BY e.tenant_id, e.project_id LIMIT 1`;
    const start = after?.map((part) => parameters.add(part)).join(', ');
    const sql = `
      WITH RECURSIVE projects (tenant_id, project_id, number) AS (
        SELECT first.*, 1 FROM (${next(start)}) first
        UNION ALL
        SELECT next.*, number + 1 FROM projects p CROSS JOIN LATERAL (${next('p.tenant_id, p.project_id')}) next
         WHERE number < ${maxProjects}),
      page AS MATERIALIZED (
        SELECT e.*, json_build_array(p.tenant_id, p.project_id) AS position
          FROM projects p CROSS JOIN LATERAL (
            SELECT e.* FROM ${this.watched.name} e
             WHERE e.tenant_id = p.tenant_id AND e.project_id = p.project_id AND e.id >= ${id} ORDER BY e.id LIMIT 1) e
         WHERE ${conditions.join(' AND ')}
         ORDER BY p.number LIMIT ${limit}),
      last AS (
        SELECT json_build_array(tenant_id, project_id) AS position FROM projects
         WHERE number = ${maxProjects} AND (SELECT count(*) FROM page) < ${limit})
      SELECT ${columns}, e.position, last.position AS "goesOnAfter"
        FROM (SELECT (SELECT position FROM last) AS position) last LEFT JOIN page e ON true
       ORDER BY e.tenant_id, e.project_id`;
    return boundedRows(await transaction.query(sql, parameters.values));
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
        ...(filter.toolName === undefined ? {} : { maxRows: MAX_ROWS_BY_TOOL }),
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

  private sortKey(scope: TenantScope, status: string | undefined): SortKey {
    if (status !== 'suspended') {
      return KEY;
    }
    return [['updated_at', this.watched.updatedAtType], ...(scope.tenantId === null ? KEY : KEY.slice(1))];
  }

  /** In one project the host's index on conversations serves everything: a conversation has few executions. */
  private conditions(
    scope: TenantScope,
    filter: ExecutionFilter,
    parameters: SqlParameters,
  ): Pick<BoundedPage, 'served' | 'unserved' | 'sorted'> {
    const { projectId, conversationId, status } = filter;
    const ofTenant = scope.tenantId !== null;
    const served = inScope(scope, parameters);
    if (ofTenant && projectId !== undefined && conversationId !== undefined) {
      return { served: [...served, ...matchesFilter(this.watched, filter, parameters)], unserved: [], sorted: true };
    }
    const isServedByKey = ofTenant && status !== 'suspended';
    served.push(...(status === 'suspended' ? matchesStatus(this.watched, filter, parameters) : []));
    served.push(...(isServedByKey ? equalities({ project_id: projectId }, parameters) : []));
    const unserved = [
      ...(status === 'suspended' ? [] : matchesStatus(this.watched, filter, parameters)),
      ...matchesRow(this.watched, isServedByKey ? { ...filter, projectId: undefined } : filter, parameters),
    ];
    return { served, unserved };
  }

  /** Which of the two tables is at fault, neither the error's text nor its class says. */
  private async assertConversationsReadable(): Promise<void> {
    const conversations = conversationsOf(this.watched);
    const isText = ['tenant_id', 'project_id', 'id', 'user_id'].map((column) => `c.${column} = ''::text`);
    await this.reads
      .read(() => `SELECT FROM ${conversations} c WHERE ${isText.join(' AND ')} LIMIT 0`)
      .catch((error: unknown) => {
        throw error instanceof WatchedTableUnreadableError
          ? new ConversationsUnreadableError(conversations, error.cause)
          : error;
      });
  }
}
