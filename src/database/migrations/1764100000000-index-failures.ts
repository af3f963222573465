import type { MigrationInterface, QueryRunner } from 'typeorm';
import { schemaOf } from '../schema-of.js';

/** Failures are read longest failing first, by tenant and as a whole. */
export class IndexFailures1764100000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    const failures = `${schemaOf(queryRunner.connection)}.failures`;
    await queryRunner.query(
      `CREATE INDEX failures_by_age ON ${failures} (first_failed_at, tenant_id, project_id, execution_id)`,
    );
    await queryRunner.query(
      `CREATE INDEX failures_by_tenant ON ${failures} (tenant_id, first_failed_at, project_id, execution_id)`,
    );
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`DROP INDEX ${schema}.failures_by_age, ${schema}.failures_by_tenant`);
  }
}
