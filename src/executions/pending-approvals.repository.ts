import { Injectable } from '@nestjs/common';
import DataLoader from 'dataloader';
import type { TenantScope } from '../access/tenant-scope.js';
import { sqlStateOf } from '../database/sql-state.js';
import { ProblemError } from '../http/problem.error.js';
import { type StoredToolApproval, toolApproval } from './tool-approval.sql.js';
import { WatchedReads } from './watched-reads.js';
import { WatchedTable } from './watched-table.js';

/** The newest execution of a conversation; its members have no meaning where the conversation has none. */
export interface LatestExecution {
  /** Whether it is suspended and its deadline is yet to come; null where there is none. */
  waits: boolean | null;
  executionId: string;
  /** Null if the host says nothing that can be understood. */
  approval: StoredToolApproval | null;
  suspendedSince: Date;
  /** The same in UTC, as PostgreSQL writes a timestamp without a zone. */
  updatedAt: string;
  deadline: Date;
}

/** One conversation that somebody asks about. */
interface Question {
  scope: TenantScope;
  conversation: { tenantId: string; projectId: string; conversationId: string };
  endUserId: string | undefined;
  timeoutSeconds: number;
}

/** The class of SQLSTATEs that are about a value of the question. */
const DATA_EXCEPTION = '22';

@Injectable()
export class PendingApprovalsRepository {
  /**
   * User interfaces poll, and planning the query costs the server more than answering it. Whatever is asked in one turn
   * of the event loop is asked of the database at once; nobody waits longer for that, and nothing is remembered.
   */
  private readonly questions = new DataLoader<Question, LatestExecution | null>(
    (questions) => this.answerAcrossTenants(questions),
    { cache: false, maxBatchSize: 100, batchScheduleFn: (ask) => void setImmediate(ask) },
  );

  constructor(
    private readonly reads: WatchedReads,
    private readonly watched: WatchedTable,
  ) {}

  /**
   * @param endUserId asks on behalf of that user: its own conversations, and those of nobody in particular.
   * @returns null where the conversation isn't there, or not for that user.
   */
  findLatest(
    scope: TenantScope,
    conversation: Question['conversation'],
    endUserId: string | undefined,
    timeoutSeconds: number,
  ): Promise<LatestExecution | null> {
    return this.questions.load({ scope, conversation, endUserId, timeoutSeconds });
  }

  /** Each question has its own scope. One that the database can't read, such as an id in its encoding, fails alone. */
  private async answerAcrossTenants(questions: readonly Question[]): Promise<(LatestExecution | null | Error)[]> {
    try {
      return await this.findAllAcrossTenants(questions);
    } catch (error) {
      const isOfOneValue = !(error instanceof ProblemError) && sqlStateOf(error)?.startsWith(DATA_EXCEPTION);
      if (questions.length === 1 || !isOfOneValue) {
        throw error;
      }
      return Promise.all(
        questions.map((question) =>
          this.findAllAcrossTenants([question]).then(
            ([answer]) => answer ?? null,
            (own) => own,
          ),
        ),
      );
    }
  }

  private async findAllAcrossTenants(questions: readonly Question[]): Promise<(LatestExecution | null)[]> {
    const rows = await this.reads.read<LatestExecution & { number: number }>((parameters) => {
      const asked = [
        ['text', questions.map(({ conversation }) => conversation.tenantId)],
        ['text', questions.map(({ conversation }) => conversation.projectId)],
        ['text', questions.map(({ conversation }) => conversation.conversationId)],
        ['text', questions.map(({ endUserId }) => endUserId ?? null)],
        ['text', questions.map(({ scope }) => scope.tenantId)],
        ['int', questions.map(({ timeoutSeconds }) => timeoutSeconds)],
      ] as const;
      return `
        SELECT asked.number::int, e.*
          FROM unnest(${asked.map(([type, values]) => `${parameters.add(values)}::${type}[]`).join(', ')}) WITH ORDINALITY
               AS asked (tenant_id, project_id, id, end_user_id, scope, timeout_seconds, number)
          JOIN "${this.watched.schema}".conversations c
            ON c.tenant_id = asked.tenant_id AND c.project_id = asked.project_id AND c.id = asked.id
          LEFT JOIN LATERAL (${this.latestExecutionSql()}) e ON true
         WHERE (asked.end_user_id IS NULL OR coalesce(c.user_id, '') IN ('', asked.end_user_id))
           AND (asked.scope IS NULL OR c.tenant_id = asked.scope)`;
    });
    const answers = new Map(rows.map((row) => [row.number, row]));
    return questions.map((_, at) => answers.get(at + 1) ?? null);
  }

  /** OFFSET 0 has the few executions of the conversation found first: an index of the host's on `created_at` reads more. */
  private latestExecutionSql(): string {
    return `
      SELECT e.id AS "executionId", ${toolApproval('e.metadata', 'whole')} AS approval,
             ${this.watched.isWaiting('e', 'statement_timestamp()', 'asked.timeout_seconds')} AS waits,
             ${this.watched.updatedAt('e')} AS "suspendedSince",
             (${this.watched.rawUpdatedAt('e')} AT TIME ZONE 'UTC')::text AS "updatedAt",
             ${this.watched.deadline('e', 'asked.timeout_seconds')} AS deadline
        FROM (SELECT e.* FROM ${this.watched.name} e
               WHERE e.tenant_id = c.tenant_id AND e.project_id = c.project_id AND e.conversation_id = c.id
              OFFSET 0) e
       ORDER BY e.created_at DESC NULLS LAST, e.id DESC
       LIMIT 1`;
  }
}
