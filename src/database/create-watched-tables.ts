import type { QueryRunner } from 'typeorm';

/**
 * Creates the tables that normally another service owns, as the reference host declares them, where they are missing.
 * For the embedded server and for trials; with a real host they exist already and nothing happens. The caller lets one
 * replica at a time do it: IF NOT EXISTS alone lets two that create at once collide.
 *
 * @returns those that were missing, qualified.
 */
export async function createWatchedTables(queryRunner: QueryRunner, schema: string): Promise<string[]> {
  const missing: { name: string }[] = await queryRunner.query(
    'SELECT name FROM unnest($1::text[]) WITH ORDINALITY wanted (name, place) WHERE to_regclass(name) IS NULL ORDER BY place',
    [['conversations', 'workflow_executions'].map((table) => `"${schema}".${table}`)],
  );
  for (const statement of statements(`"${schema}"`)) {
    await queryRunner.query(statement);
  }
  return missing.map(({ name }) => name);
}

function statements(schema: string): string[] {
  return [
    `CREATE TABLE IF NOT EXISTS ${schema}.conversations (
      tenant_id varchar(256) NOT NULL,
      project_id varchar(256) NOT NULL,
      id varchar(256) NOT NULL,
      user_id varchar(256),
      created_at timestamp NOT NULL DEFAULT now(),
      updated_at timestamp NOT NULL DEFAULT now(),
      PRIMARY KEY (tenant_id, project_id, id)
    )`,
    `CREATE TABLE IF NOT EXISTS ${schema}.workflow_executions (
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
    `CREATE INDEX IF NOT EXISTS workflow_executions_conversation_idx
      ON ${schema}.workflow_executions (tenant_id, project_id, conversation_id)`,
    `CREATE INDEX IF NOT EXISTS workflow_executions_suspended
      ON ${schema}.workflow_executions (updated_at, tenant_id, project_id, id) WHERE status = 'suspended'`,
    `CREATE INDEX IF NOT EXISTS workflow_executions_suspended_by_tenant
      ON ${schema}.workflow_executions (tenant_id, updated_at, project_id, id) WHERE status = 'suspended'`,
  ];
}
