import type { MigrationInterface, QueryRunner } from 'typeorm';
import { schemaOf } from '../schema-of.js';

/**
 * `timed_out_at` is Lapse's own moment from now on. What the row itself says, which a trigger of the host may have
 * changed, is kept beside it: `row_updated_at` to see whether the row has changed since, `row_created_at` to tell the
 * execution from a later one with the same id. Both are NULL for what was timed out before.
 *
 * The index finds a later timeout of the same execution that was reopened. It is partial, so that a sweep doesn't pay
 * for it.
 */
export class RecordRowsAsLeft1764300000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(
      `ALTER TABLE ${schema}.timeouts ADD row_updated_at timestamptz, ADD row_created_at timestamptz`,
    );
    await queryRunner.query(
      `CREATE INDEX timeouts_reopened ON ${schema}.timeouts (tenant_id, project_id, execution_id)
        WHERE reopened_at IS NOT NULL`,
    );
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`DROP INDEX ${schema}.timeouts_reopened`);
    await queryRunner.query(`ALTER TABLE ${schema}.timeouts DROP row_updated_at, DROP row_created_at`);
  }
}
