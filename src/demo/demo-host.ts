import { randomInt, randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import type pg from 'pg';
import type { Configuration } from '../config/configuration.js';
import { connectionOptions } from '../database/connection-options.js';
import { PostgresPool } from '../database/postgres-pool.js';
import { AGENTS, PROJECTS, TENANTS } from './demo-cast.js';

const STEP_MS = 500;
/** Suspended so long before the first start that the first sweeps have something to do: from fresh to overdue. */
const FIRST_BACKLOG = 60;

/**
 * Plays the service that owns the watched table, over a connection of its own and without knowing of Lapse: executions
 * start, most suspend for approval, many are approved or finish, and three of ten are forgotten.
 */
export class DemoHost {
  private readonly logger = new Logger('DemoHost');
  private timer: NodeJS.Timeout | undefined;
  private step: Promise<void> = Promise.resolve();

  private constructor(
    private readonly pool: pg.Pool,
    private readonly table: string,
    private readonly conversations: string,
  ) {
    pool.on('error', () => undefined);
  }

  static async start(configuration: Configuration): Promise<DemoHost> {
    const connection = connectionOptions(configuration.databaseUrl);
    const pool = new PostgresPool({ ...connection, application_name: 'demo-host', max: 2 });
    const schema = `"${configuration.watchedSchema}"`;
    const host = new DemoHost(pool, `${schema}.workflow_executions`, `${schema}.conversations`);
    await host.forgetSomeAlready(configuration.approvalTimeout / 1000);
    host.timer = setInterval(() => {
      host.step = host.step.then(() => host.takeStep());
    }, STEP_MS);
    return host;
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.step;
    await this.pool.end();
  }

  private async takeStep(): Promise<void> {
    try {
      await this.begin();
      await this.suspendSome();
      await this.approveSome();
      await this.completeSome();
      await this.deleteOld();
    } catch (error) {
      this.logger.warn(`A step of the demo host failed: ${error instanceof Error ? error.message : error}`);
    }
  }

  private async begin(): Promise<void> {
    const [tenant, project, agent] = [pick(TENANTS), pick(PROJECTS), pick(AGENTS)];
    const conversation = `conv_${shortId()}`;
    await this.pool.query(
      `WITH conversation AS (
         INSERT INTO ${this.conversations} (tenant_id, project_id, id, user_id, created_at, updated_at)
         VALUES ($1, $2, $3, $4, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC')
       )
       INSERT INTO ${this.table} (tenant_id, project_id, id, agent_id, conversation_id, request_id, metadata, created_at, updated_at)
       VALUES ($1, $2, $5, $6, $3, $7, $8, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC')`,
      [
        tenant,
        project,
        conversation,
        `user_${randomInt(1000)}`,
        `exec_${shortId()}`,
        agent.id,
        `req_${shortId()}`,
        { continuationStreamNamespace: `stream_${shortId()}` },
      ],
    );
  }

  private async suspendSome(): Promise<void> {
    const { rows } = await this.pool.query(
      `SELECT tenant_id, project_id, id, agent_id FROM ${this.table}
        WHERE status = 'running' AND created_at = updated_at AND abs(hashtext(id)) % 10 < 8
          AND updated_at < now() AT TIME ZONE 'UTC' - interval '2 seconds' LIMIT 5`,
    );
    for (const row of rows) {
      await this.pool.query(
        `UPDATE ${this.table}
            SET status = 'suspended', updated_at = now() AT TIME ZONE 'UTC', metadata = coalesce(metadata, '{}') || $4
          WHERE tenant_id = $1 AND project_id = $2 AND id = $3 AND status = 'running'`,
        [row.tenant_id, row.project_id, row.id, { pendingToolApproval: approvalOf(row.agent_id) }],
      );
    }
  }

  /** Whether an execution is forgotten is written in its id, so that it stays forgotten over restarts. */
  private async approveSome(): Promise<void> {
    await this.pool.query(
      `UPDATE ${this.table}
          SET status = 'running', updated_at = now() AT TIME ZONE 'UTC', metadata = metadata - 'pendingToolApproval'
        WHERE status = 'suspended' AND abs(hashtext(id || 'forgotten')) % 10 >= 3
          AND updated_at < now() AT TIME ZONE 'UTC' - make_interval(secs => 5 + abs(hashtext(id || 'when')) % 40)`,
    );
  }

  private async completeSome(): Promise<void> {
    await this.pool.query(
      `UPDATE ${this.table} SET status = 'completed', updated_at = now() AT TIME ZONE 'UTC'
        WHERE status = 'running' AND updated_at < now() AT TIME ZONE 'UTC' - interval '8 seconds'`,
    );
  }

  private async deleteOld(): Promise<void> {
    await this.pool.query(
      `DELETE FROM ${this.table}
        WHERE status IN ('completed', 'failed') AND updated_at < now() AT TIME ZONE 'UTC' - interval '1 hour'`,
    );
  }

  private async forgetSomeAlready(timeoutSeconds: number): Promise<void> {
    for (let at = 0; at < FIRST_BACKLOG; at += 1) {
      const agent = pick(AGENTS);
      await this.pool.query(
        `INSERT INTO ${this.table} (tenant_id, project_id, id, agent_id, conversation_id, status, metadata, created_at, updated_at)
         SELECT $1, $2, $3, $4, $5, 'suspended', $6, since, since
           FROM (SELECT now() AT TIME ZONE 'UTC' - make_interval(secs => $7) AS since) s`,
        [
          pick(TENANTS),
          pick(PROJECTS),
          `exec_${shortId()}`,
          agent.id,
          `conv_${shortId()}`,
          { pendingToolApproval: approvalOf(agent.id) },
          (timeoutSeconds * 1.1 * at) / FIRST_BACKLOG,
        ],
      );
    }
  }
}

function approvalOf(agentId: string): Record<string, unknown> {
  const tool = pick((AGENTS.find(({ id }) => id === agentId) ?? pick(AGENTS)).tools);
  return {
    toolCallId: `call_${shortId()}`,
    toolName: tool.name,
    args: tool.args(() => randomInt(1000, 100_000)),
    isDelegated: randomInt(4) === 0,
  };
}

function pick<T>(from: readonly T[]): T {
  return from[randomInt(from.length)] as T;
}

function shortId(): string {
  return randomUUID().replaceAll('-', '').slice(0, 16);
}
