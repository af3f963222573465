import type { MigrationInterface, QueryRunner } from 'typeorm';
import { schemaOf } from '../schema-of.js';

/** The ledger is read by execution too, newest first; failures by the sweep that tried them last. */
export class IndexHistories1764500000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`CREATE INDEX timeouts_by_execution ON ${schema}.timeouts (execution_id, id)`);
    await queryRunner.query(`CREATE INDEX failures_by_sweep ON ${schema}.failures (last_sweep_id, next_try_at)`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`DROP INDEX ${schema}.timeouts_by_execution, ${schema}.failures_by_sweep`);
  }
}
