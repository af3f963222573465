import type { MigrationInterface, QueryRunner } from 'typeorm';
import { schemaOf } from '../schema-of.js';

/** The ledger is read by execution too, newest first. */
export class IndexHistories1764500000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`CREATE INDEX timeouts_by_execution ON ${schema}.timeouts (execution_id, id)`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`DROP INDEX ${schemaOf(queryRunner.connection)}.timeouts_by_execution`);
  }
}
