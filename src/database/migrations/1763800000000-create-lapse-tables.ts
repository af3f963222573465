import type { MigrationInterface, QueryRunner } from 'typeorm';
import { schemaOf } from '../schema-of.js';

/** Lapse's own tables. None refers to another by a foreign key: the ledger outlives the sweeps that wrote it. */
export class CreateLapseTables1763800000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);

    // One expression, so that the planner inlines it: the first 48 bits are the time, the rest a random UUID's.
    await queryRunner.query(`
      CREATE FUNCTION ${schema}.uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
        SELECT (lpad(to_hex((date_part('epoch', clock_timestamp()) * 1000)::bigint), 12, '0')
                || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
      $$`);

    await queryRunner.query(`
      CREATE TABLE ${schema}.sweeps (
        id uuid PRIMARY KEY DEFAULT ${schema}.uuid_v7(),
        trigger text NOT NULL CHECK (trigger IN ('schedule', 'api', 'cron', 'cli')),
        tenant_id text,
        project_id text,
        agent_id text,
        status text NOT NULL DEFAULT 'running'
          CHECK (status IN ('running', 'succeeded', 'partial', 'failed', 'cancelled', 'interrupted')),
        dry_run boolean NOT NULL,
        timeout_seconds integer NOT NULL CHECK (timeout_seconds > 0),
        row_limit integer CHECK (row_limit > 0),
        reason text,
        requested_by text NOT NULL,
        lock_name text NOT NULL,
        timed_out integer NOT NULL DEFAULT 0,
        skipped integer NOT NULL DEFAULT 0,
        failed integer NOT NULL DEFAULT 0,
        cutoff timestamptz NOT NULL DEFAULT statement_timestamp(),
        started_at timestamptz NOT NULL DEFAULT statement_timestamp(),
        finished_at timestamptz,
        cancel_requested_at timestamptz,
        error text
      )`);
    await queryRunner.query(`CREATE INDEX sweeps_running ON ${schema}.sweeps (lock_name) WHERE status = 'running'`);
    await queryRunner.query(`CREATE INDEX sweeps_by_tenant ON ${schema}.sweeps (tenant_id, id)`);

    await queryRunner.query(`
      CREATE TABLE ${schema}.timeouts (
        id uuid PRIMARY KEY DEFAULT ${schema}.uuid_v7(),
        sweep_id uuid NOT NULL,
        tenant_id text NOT NULL,
        project_id text NOT NULL,
        execution_id text NOT NULL,
        agent_id text,
        conversation_id text,
        tool_call_id text,
        tool_name text,
        suspended_since timestamptz NOT NULL,
        deadline timestamptz NOT NULL,
        timed_out_at timestamptz NOT NULL
      )`);

    await queryRunner.query(`
      CREATE TABLE ${schema}.failures (
        tenant_id text NOT NULL,
        project_id text NOT NULL,
        execution_id text NOT NULL,
        attempts integer NOT NULL DEFAULT 1,
        first_failed_at timestamptz NOT NULL DEFAULT statement_timestamp(),
        last_failed_at timestamptz NOT NULL DEFAULT statement_timestamp(),
        next_try_at timestamptz NOT NULL,
        last_reason text NOT NULL,
        last_sweep_id uuid NOT NULL,
        PRIMARY KEY (tenant_id, project_id, execution_id)
      )`);

    await queryRunner.query(`
      CREATE TABLE ${schema}.api_keys (
        id uuid PRIMARY KEY DEFAULT ${schema}.uuid_v7(),
        public_id text NOT NULL UNIQUE,
        secret_hash bytea NOT NULL CHECK (length(secret_hash) = 32),
        name text NOT NULL,
        tenant_id text,
        role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
        created_by text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
        expires_at timestamptz,
        last_used_at timestamptz,
        revoked_at timestamptz
      )`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`DROP TABLE ${schema}.api_keys, ${schema}.failures, ${schema}.timeouts, ${schema}.sweeps`);
    await queryRunner.query(`DROP FUNCTION ${schema}.uuid_v7()`);
  }
}
