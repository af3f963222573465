import { randomUUID } from 'node:crypto';
import pg from 'pg';

export interface Execution {
  tenantId: string;
  projectId: string;
  id: string;
  agentId: string;
  status: string;
  // biome-ignore lint/suspicious/noExplicitAny: metadata is whatever a host keeps there
  metadata: any;
  /** As the database writes it: to the microsecond. */
  updatedAt: string;
}

export interface LedgerRow {
  id: string;
  sweepId: string;
  tenantId: string;
  executionId: string;
  toolCallId: string | null;
  toolName: string | null;
  /** Seconds between the two moments, to the microsecond. */
  timeout: number;
}

/** The service that owns the watched table, as far as a test needs one. Writes UTC, as the reference host does. */
export class Host {
  readonly pool: pg.Pool;

  constructor(databaseUrl: string) {
    this.pool = new pg.Pool({ connectionString: databaseUrl, max: 20, options: '-c timezone=UTC' });
    this.pool.on('error', () => undefined);
  }

  stop(): Promise<void> {
    return this.pool.end();
  }

  /** Puts a suspended execution there that has waited for `minutes`. */
  async suspend(execution: Partial<Omit<Execution, 'updatedAt'>> & { minutes: number }): Promise<Execution> {
    const { rows } = await this.pool.query(
      `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, metadata, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, now() - $8::float * interval '1 minute', now() - $8::float * interval '1 minute')
       RETURNING ${COLUMNS}`,
      [
        execution.tenantId ?? 'acme',
        execution.projectId ?? 'support',
        execution.id ?? randomUUID(),
        execution.agentId ?? 'refund-agent',
        `conversation-${randomUUID()}`,
        execution.status ?? 'suspended',
        execution.metadata === null ? null : JSON.stringify(execution.metadata ?? APPROVAL),
        execution.minutes,
      ],
    );
    return rows[0];
  }

  /** Many at once; each execution's id is its number. */
  async suspendMany(count: number, minutes: number, tenantId = 'acme'): Promise<void> {
    await this.pool.query(
      `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, metadata, created_at, updated_at)
       SELECT $3, 'support', n::text, 'refund-agent', 'conversation-' || n, 'suspended', $4,
              now() - $2::float * interval '1 minute', now() - $2::float * interval '1 minute' + n * interval '1 microsecond'
         FROM generate_series(1, $1::int) n`,
      [count, minutes, tenantId, APPROVAL],
    );
  }

  /** Each update of an execution takes so long from now on. */
  async slowDown(seconds: number): Promise<void> {
    await this.pool.query(
      `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(${seconds}); RETURN NEW; END $$;
       CREATE TRIGGER slow BEFORE UPDATE ON workflow_executions FOR EACH ROW EXECUTE FUNCTION slow()`,
    );
  }

  async speedUp(): Promise<void> {
    await this.pool.query('DROP FUNCTION IF EXISTS slow() CASCADE');
  }

  async find(id: string, tenantId = 'acme'): Promise<Execution> {
    const { rows } = await this.pool.query(
      `SELECT ${COLUMNS} FROM workflow_executions WHERE id = $1 AND tenant_id = $2`,
      [id, tenantId],
    );
    return rows[0];
  }

  async count(status: string): Promise<number> {
    const { rows } = await this.pool.query('SELECT count(*)::int AS count FROM workflow_executions WHERE status = $1', [
      status,
    ]);
    return rows[0].count;
  }

  async ledger(): Promise<LedgerRow[]> {
    const { rows } = await this.pool.query(
      `SELECT id, sweep_id AS "sweepId", tenant_id AS "tenantId", execution_id AS "executionId",
              tool_call_id AS "toolCallId", tool_name AS "toolName",
              extract(epoch FROM deadline - suspended_since)::float AS timeout
         FROM lapse.timeouts ORDER BY suspended_since, execution_id`,
    );
    return rows;
  }

  /**
   * Forgets everything, between tests that share a database. A statement that the test before left behind may still be
   * running there, and deadlock with this one.
   */
  async clear(): Promise<void> {
    const tables = ['sweeps', 'sweep_counts', 'timeouts', 'failures', 'failing_tenants'].map(
      (table) => `lapse.${table}`,
    );
    const empty = () => this.pool.query(`TRUNCATE workflow_executions, ${tables.join(', ')}`);
    await empty().catch((error) => (error.code === DEADLOCK_DETECTED ? empty() : Promise.reject(error)));
  }
}

const DEADLOCK_DETECTED = '40P01';

const COLUMNS = `tenant_id AS "tenantId", project_id AS "projectId", id, agent_id AS "agentId", status, metadata,
                 updated_at::text AS "updatedAt"`;

export const APPROVAL = {
  continuationStreamNamespace: 'stream-1',
  pendingToolApproval: { toolCallId: 'call-1', toolName: 'issue_refund', args: { amount: 12.5 }, isDelegated: false },
};
