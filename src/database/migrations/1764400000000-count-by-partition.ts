import type { MigrationInterface, QueryRunner } from 'typeorm';
import { schemaOf } from '../schema-of.js';

/**
 * The partitions of a sweep count in rows of their own, so that they don't wait for each other, and so that a batch whose
 * COMMIT was not answered can be looked up. Tenants whose executions keep failing are left alone for a while.
 */
export class CountByPartition1764400000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`
      CREATE TABLE ${schema}.sweep_counts (
        sweep_id uuid,
        partition integer,
        batch integer NOT NULL,
        done integer NOT NULL,
        timed_out integer NOT NULL DEFAULT 0,
        skipped integer NOT NULL DEFAULT 0,
        failed integer NOT NULL DEFAULT 0,
        reopened integer NOT NULL DEFAULT 0,
        changed_since integer NOT NULL DEFAULT 0,
        gone integer NOT NULL DEFAULT 0,
        already_reopened integer NOT NULL DEFAULT 0,
        PRIMARY KEY (sweep_id, partition)
      ) WITH (fillfactor = 50)`);
    await queryRunner.query(`
      CREATE TABLE ${schema}.failing_tenants (
        tenant_id text,
        sqlstate text,
        backoffs integer NOT NULL DEFAULT 1,
        next_try_at timestamptz NOT NULL,
        last_reason text NOT NULL,
        PRIMARY KEY (tenant_id, sqlstate)
      )`);
    await queryRunner.query(`ALTER TABLE ${schema}.failures ADD sqlstate text`);
    await queryRunner.query(`CREATE INDEX failures_by_next_try ON ${schema}.failures (tenant_id, next_try_at)`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`DROP INDEX ${schema}.failures_by_next_try`);
    await queryRunner.query(`ALTER TABLE ${schema}.failures DROP sqlstate`);
    await queryRunner.query(`DROP TABLE ${schema}.sweep_counts, ${schema}.failing_tenants`);
  }
}
