import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { type BoundedRows, boundedPage, shortened } from '../database/bounded-page.js';
import { idBefore, idSince } from '../database/least-id.js';
import { clamped } from '../database/moments.js';
import { schemaOf } from '../database/schema-of.js';
import { equalities, inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';
import type { ReopenOutcome } from './reopenings.repository.js';

export interface TimeoutFilter {
  sweepId: string | undefined;
  /** The period of the sweep, if only a tenant's share of it is wanted: then the rows are found by the tenant. */
  within?: { from: Date; to: Date | null } | undefined;
  /** Those that an undo dealt with, each with what became of it. */
  undoId: string | undefined;
  projectId: string | undefined;
  agentId: string | undefined;
  toolName: string | undefined;
  executionId: string | undefined;
  resurrected: boolean | undefined;
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
  /** Null for what was timed out before triggers were kept. */
  trigger: string | null;
  resurrectedAt: Date | null;
  resurrectedStatus: string | null;
  reopenedAt: Date | null;
  reopenedBy: string | null;
  reopenReason: string | null;
  undoId: string | null;
  /** Of the undo that is asked for; null where none is. */
  outcome: ReopenOutcome | 'failed' | null;
  failure: string | null;
  position: readonly string[];
}

/** What came from the host's table can be of any length, and in old rows any moment that PostgreSQL knows. */
const COLUMNS = `e.id, e.sweep_id AS "sweepId", e.tenant_id AS "tenantId", e.project_id AS "projectId",
  e.execution_id AS "executionId", ${shortened('e.agent_id')} AS "agentId",
  ${shortened('e.conversation_id')} AS "conversationId", ${shortened('e.tool_call_id')} AS "toolCallId",
  ${shortened('e.tool_name')} AS "toolName", ${clamped('e.suspended_since')} AS "suspendedSince",
  ${clamped('e.deadline')} AS deadline, ${clamped('e.timed_out_at')} AS "timedOutAt", e.trigger,
  ${clamped('e.resurrected_at')} AS "resurrectedAt", ${shortened('e.resurrected_status')} AS "resurrectedStatus",
  ${clamped('e.reopened_at')} AS "reopenedAt", e.reopened_by AS "reopenedBy", e.reopen_reason AS "reopenReason",
  e.undo_id AS "undoId"`;

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
    const { sweepId, within, undoId, projectId, agentId, toolName, executionId, resurrected, from, to } = filter;
    const ofTenant = inScope(scope, parameters);
    const timeouts = `${schemaOf(this.dataSource)}.timeouts`;
    const bySweep = sweepId === undefined ? [] : [`e.sweep_id = ${parameters.add(sweepId)}::uuid`];
    const isOfTenant = undoId === undefined && (sweepId === undefined || within !== undefined);
    const at = (moment: string | Date) => `${parameters.add(moment)}::timestamptz`;
    return boundedPage(
      this.dataSource,
      {
        table: undoId === undefined ? timeouts : this.ofUndo(undoId, parameters),
        columns: `${COLUMNS}, ${undoId === undefined ? 'NULL AS outcome, NULL AS failure' : 'e.outcome, e.failure'}`,
        served: [
          ...(isOfTenant ? ofTenant : bySweep),
          ...equalities({ execution_id: executionId }, parameters),
          ...(within === undefined ? [] : [idSince('e.id', at(within.from))]),
          ...(within?.to ? [idBefore('e.id', at(within.to))] : []),
          ...(resurrected ? ['e.resurrected_at IS NOT NULL'] : []),
          ...(from === undefined ? [] : [idSince('e.id', at(from))]),
          ...(to === undefined ? [] : [idBefore('e.id', at(to))]),
        ],
        unserved: [
          ...(isOfTenant ? bySweep : ofTenant),
          ...(resurrected === false ? ['e.resurrected_at IS NULL'] : []),
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

  private ofUndo(undoId: string, parameters: SqlParameters): string {
    const schema = schemaOf(this.dataSource);
    return `(SELECT t.*, o.outcome, o.failure
               FROM ${schema}.undo_outcomes o JOIN ${schema}.timeouts t ON t.id = o.timeout_id
              WHERE o.undo_id = ${parameters.add(undoId)}::uuid)`;
  }
}
