import type { MigrationInterface, QueryRunner } from 'typeorm';
import { schemaOf } from '../schema-of.js';

/** What people did over the API, and the key that cursors are sealed with. */
export class CreateAuditLog1763900000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);

    await queryRunner.query(`
      CREATE TABLE ${schema}.audit_log (
        id uuid PRIMARY KEY DEFAULT ${schema}.uuid_v7(),
        at timestamptz NOT NULL DEFAULT statement_timestamp(),
        tenant_id text,
        principal_kind text NOT NULL,
        principal_id text,
        address text NOT NULL,
        action text NOT NULL,
        target text,
        outcome text NOT NULL CHECK (outcome IN ('done', 'refused', 'failed')),
        code text,
        request_id text NOT NULL,
        details jsonb NOT NULL
      )`);
    await queryRunner.query(`CREATE INDEX audit_log_by_tenant ON ${schema}.audit_log (tenant_id, id)`);

    // Two random UUIDs have 244 random bits; the server's own random bytes would need an extension.
    await queryRunner.query(`CREATE TABLE ${schema}.secrets (name text PRIMARY KEY, value bytea NOT NULL)`);
    await queryRunner.query(`
      INSERT INTO ${schema}.secrets
      VALUES ('cursors', sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea))`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`DROP TABLE ${schema}.audit_log, ${schema}.secrets`);
  }
}
