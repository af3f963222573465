import type { MigrationInterface, QueryRunner } from 'typeorm';
import { schemaOf } from '../schema-of.js';

/** The ledger is read by tenant, by sweep and as a whole, each newest first; the last is the primary key's. */
export class IndexLedger1764000000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`CREATE INDEX timeouts_by_tenant ON ${schema}.timeouts (tenant_id, id)`);
    await queryRunner.query(`CREATE INDEX timeouts_by_sweep ON ${schema}.timeouts (sweep_id, id)`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`DROP INDEX ${schema}.timeouts_by_tenant, ${schema}.timeouts_by_sweep`);
  }
}
