import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { type BoundedRows, boundedPage } from '../database/bounded-page.js';
import { schemaOf } from '../database/schema-of.js';
import { equalities, inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';

export interface TimeoutFilter {
  sweepId: string | undefined;
  projectId: string | undefined;
  agentId: string | undefined;
  toolName: string | undefined;
  /** ISO times of what was timed out at or after, and before. */
  from: string | undefined;
  to: string | undefined;
}

/** A ledger row. */
export interface TimeoutRow {
  id: string;
  sweepId: string;
  tenantId: string;
  projectId: string;
  executionId: string;
  agentId: string | null;
  conversationId: string | null;
  toolCallId: string | null;
  toolName: string | null;
  suspendedSince: Date;
  deadline: Date;
  timedOutAt: Date;
  position: readonly string[];
}

/** How far the time in an id, which is when its batch began, may be from when the row says that it was timed out. */
const ID_IS_WITHIN = `interval '1 minute'`;

const COLUMNS = `e.id, e.sweep_id AS "sweepId", e.tenant_id AS "tenantId", e.project_id AS "projectId",
  e.execution_id AS "executionId", e.agent_id AS "agentId", e.conversation_id AS "conversationId",
  e.tool_call_id AS "toolCallId", e.tool_name AS "toolName", e.suspended_since AS "suspendedSince", e.deadline,
  e.timed_out_at AS "timedOutAt"`;

/** Reads the ledger. Only the statement that times executions out writes it. */
@Injectable()
export class TimeoutsRepository {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /** Newest first, which is the order of ids. */
  async list(
    scope: TenantScope,
    filter: TimeoutFilter,
    limit: number,
    after: readonly string[] | undefined,
  ): Promise<BoundedRows<TimeoutRow>> {
    const parameters = new SqlParameters();
    const { sweepId, projectId, agentId, toolName, from, to } = filter;
    const ofTenant = inScope(scope, parameters);
    const at = (moment: string) => `${parameters.add(moment)}::timestamptz`;
    return boundedPage(
      this.dataSource,
      {
        table: `${schemaOf(this.dataSource)}.timeouts`,
        columns: COLUMNS,
        served: [
          ...(sweepId === undefined ? ofTenant : [`e.sweep_id = ${parameters.add(sweepId)}::uuid`]),
          ...(from === undefined ? [] : [`e.id >= ${leastIdAt(`${at(from)} - ${ID_IS_WITHIN}`)}`]),
          ...(to === undefined ? [] : [`e.id < ${leastIdAt(`${at(to)} + ${ID_IS_WITHIN}`)}`]),
        ],
        unserved: [
          ...(sweepId === undefined ? [] : ofTenant),
          ...equalities({ project_id: projectId, agent_id: agentId, tool_name: toolName }, parameters),
          ...(from === undefined ? [] : [`e.timed_out_at >= ${at(from)}`]),
          ...(to === undefined ? [] : [`e.timed_out_at < ${at(to)}`]),
        ],
        key: [['id', 'uuid']],
        direction: 'DESC',
        after,
        limit,
      },
      parameters,
    );
  }
}

/** SQL: the least UUIDv7 of a moment. */
function leastIdAt(moment: string): string {
  return `(lpad(to_hex(greatest(extract(epoch FROM ${moment}) * 1000, 0)::bigint), 12, '0') || repeat('0', 20))::uuid`;
}
