import type { QueryRunner } from 'typeorm';

/**
 * Creates the tables that normally another service owns, as the reference host declares them, if they are missing. For
 * the embedded server and for trials; with a real host they exist already, and then they are not touched: even CREATE
 * INDEX IF NOT EXISTS would wait for a lock on the table, and keep the host waiting behind it. The caller lets one
 * replica at a time do it.
 *
 * @returns those that were missing, qualified.
 */
export async function createWatchedTables(queryRunner: QueryRunner, schema: string): Promise<string[]> {
  const missing: { name: string }[] = await queryRunner.query(
    'SELECT name FROM unnest($1::text[]) WITH ORDINALITY wanted (name, place) WHERE to_regclass(format($2, name)) IS NULL ORDER BY place',
    [Object.keys(STATEMENTS), `"${schema}".%I`],
  );
  for (const { name } of missing) {
    for (const statement of STATEMENTS[name]?.(`"${schema}"`) ?? []) {
      await queryRunner.query(statement);
    }
  }
  return missing.map(({ name }) => `"${schema}".${name}`);
}

const STATEMENTS: Record<string, (schema: string) => string[]> = {
  conversations: (schema) => [
    `CREATE TABLE ${schema}.conversations (
      tenant_id varchar(256) NOT NULL,
      project_id varchar(256) NOT NULL,
      id varchar(256) NOT NULL,
      user_id varchar(256),
      created_at timestamp NOT NULL DEFAULT now(),
      updated_at timestamp NOT NULL DEFAULT now(),
      PRIMARY KEY (tenant_id, project_id, id)
    )`,
  ],
  workflow_executions: (schema) => [
    `CREATE TABLE ${schema}.workflow_executions (
      tenant_id varchar(256) NOT NULL,
      project_id varchar(256) NOT NULL,
      id varchar(256) NOT NULL,
      agent_id varchar(256) NOT NULL,
      conversation_id varchar(256) NOT NULL,
      request_id varchar(256),
      status varchar(50) NOT NULL DEFAULT 'running',
      metadata jsonb,
      created_at timestamp NOT NULL DEFAULT now(),
      updated_at timestamp NOT NULL DEFAULT now(),
      PRIMARY KEY (tenant_id, project_id, id)
    )`,
    `CREATE INDEX workflow_executions_conversation_idx
      ON ${schema}.workflow_executions (tenant_id, project_id, conversation_id)`,
    `CREATE INDEX workflow_executions_suspended
      ON ${schema}.workflow_executions (updated_at, tenant_id, project_id, id) WHERE status = 'suspended'`,
    `CREATE INDEX workflow_executions_suspended_by_tenant
      ON ${schema}.workflow_executions (tenant_id, updated_at, project_id, id) WHERE status = 'suspended'`,
  ],
};
