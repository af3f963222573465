import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { WatchedTable } from './watched-table.js';

/** The newest execution of a conversation; its members have no meaning where the conversation has none. */
export interface LatestExecution {
  /** Whether it is suspended and its deadline is yet to come; null where there is none. */
  waits: boolean | null;
  executionId: string;
  /** `pendingToolApproval` as the host keeps it: anything. */
  pending: unknown;
  suspendedSince: Date;
  deadline: Date;
}

@Injectable()
export class PendingApprovalsRepository {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly watched: WatchedTable,
  ) {}

  /**
   * @param endUserId asks on behalf of that user: its own conversations, and those of nobody in particular.
   * @returns null where the conversation isn't there, or not for that user.
   */
  async findLatest(
    scope: TenantScope,
    { tenantId, projectId, conversationId }: { tenantId: string; projectId: string; conversationId: string },
    endUserId: string | undefined,
    timeoutSeconds: number,
  ): Promise<LatestExecution | null> {
    const [found] = await this.dataSource.query(
      `SELECT e.*
         FROM "${this.watched.schema}".conversations c
         LEFT JOIN LATERAL (
           SELECT e.id AS "executionId", e.metadata -> 'pendingToolApproval' AS pending,
                  ${this.watched.isWaiting('e', 'statement_timestamp()', '$5')} AS waits,
                  ${this.watched.updatedAt('e')} AS "suspendedSince", ${this.watched.deadline('e', '$5')} AS deadline
             FROM ${this.watched.name} e
            WHERE e.tenant_id = c.tenant_id AND e.project_id = c.project_id AND e.conversation_id = c.id
            ORDER BY e.created_at DESC, e.id DESC
            LIMIT 1) e ON true
        WHERE c.tenant_id = $1 AND c.project_id = $2 AND c.id = $3
          AND ($4::text IS NULL OR coalesce(c.user_id, '') IN ('', $4))
          AND ($6::text IS NULL OR c.tenant_id = $6)`,
      [tenantId, projectId, conversationId, endUserId ?? null, timeoutSeconds, scope.tenantId],
    );
    return found ?? null;
  }
}
