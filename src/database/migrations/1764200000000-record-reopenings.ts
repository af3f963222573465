import type { MigrationInterface, QueryRunner } from 'typeorm';
import { schemaOf } from '../schema-of.js';

/** What becomes of an execution after its timeout: it comes back by itself, or somebody reopens it. */
export class RecordReopenings1764200000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`
      ALTER TABLE ${schema}.timeouts
        ADD trigger text,
        ADD original_metadata jsonb,
        ADD resurrected_at timestamptz,
        ADD resurrected_status text,
        ADD reopened_at timestamptz,
        ADD reopened_by text,
        ADD reopen_reason text,
        ADD undo_id uuid`);
    // Room for what is written later about a row, so that it stays on its page and no index is touched.
    await queryRunner.query(`ALTER TABLE ${schema}.timeouts SET (fillfactor = 80)`);
    for (const [index, columns] of RESURRECTED) {
      await queryRunner.query(
        `CREATE INDEX ${index} ON ${schema}.timeouts (${columns}) WHERE resurrected_at IS NOT NULL`,
      );
    }
    await queryRunner.query(`
      ALTER TABLE ${schema}.sweeps
        ADD undoes uuid,
        ADD reopened integer NOT NULL DEFAULT 0,
        ADD changed_since integer NOT NULL DEFAULT 0,
        ADD gone integer NOT NULL DEFAULT 0,
        ADD already_reopened integer NOT NULL DEFAULT 0`);
    await queryRunner.query(`
      CREATE TABLE ${schema}.undo_outcomes (
        undo_id uuid,
        timeout_id uuid,
        outcome text NOT NULL CHECK (outcome IN ('reopened', 'changed_since', 'gone', 'already_reopened', 'failed')),
        failure text,
        PRIMARY KEY (undo_id, timeout_id)
      )`);
    await queryRunner.query(`
      CREATE TABLE ${schema}.timeouts_watch (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        watched_until uuid
      )`);
    await queryRunner.query(`INSERT INTO ${schema}.timeouts_watch DEFAULT VALUES`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(`DROP TABLE ${schema}.undo_outcomes, ${schema}.timeouts_watch`);
    await queryRunner.query(`
      ALTER TABLE ${schema}.sweeps
        DROP undoes, DROP reopened, DROP changed_since, DROP gone, DROP already_reopened`);
    await queryRunner.query(`
      ALTER TABLE ${schema}.timeouts
        DROP trigger, DROP original_metadata, DROP resurrected_at, DROP resurrected_status,
        DROP reopened_at, DROP reopened_by, DROP reopen_reason, DROP undo_id`);
    await queryRunner.query(`ALTER TABLE ${schema}.timeouts RESET (fillfactor)`);
  }
}

const RESURRECTED = [
  ['timeouts_resurrected', 'id'],
  ['timeouts_resurrected_by_tenant', 'tenant_id, id'],
] as const;
