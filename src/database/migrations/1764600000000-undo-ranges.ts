import type { MigrationInterface, QueryRunner } from 'typeorm';
import { schemaOf } from '../schema-of.js';

/**
 * An undo can take back the timeouts of a period, whichever sweeps they are of. `undo_from` and `undo_to` say where in
 * the ledger it looks, `expected` how many timeouts were there when it began; all three are NULL for sweeps, and for
 * undos that an older version ran.
 *
 * A tenant sees its own sweeps and, of the platform's, those that touched it: the first index gives the platform's sweeps
 * the same order as a tenant's own, so that both are merged without sorting. Undos are rare among sweeps, and the failures
 * of one sweep and tenant among all failures. The ledger gets no further index, which every timeout would pay for.
 */
export class UndoRanges1764600000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(
      `ALTER TABLE ${schema}.sweeps ADD undo_from timestamptz, ADD undo_to timestamptz, ADD expected integer`,
    );
    await queryRunner.query(`CREATE INDEX sweeps_of_platform ON ${schema}.sweeps (id) WHERE tenant_id IS NULL`);
    await queryRunner.query(
      `CREATE INDEX sweeps_undos ON ${schema}.sweeps (id) WHERE undoes IS NOT NULL OR undo_from IS NOT NULL`,
    );
    await queryRunner.query(`CREATE INDEX failures_by_sweep ON ${schema}.failures (last_sweep_id, tenant_id)`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    const schema = schemaOf(queryRunner.connection);
    await queryRunner.query(
      `DROP INDEX ${schema}.sweeps_of_platform, ${schema}.sweeps_undos, ${schema}.failures_by_sweep`,
    );
    await queryRunner.query(`ALTER TABLE ${schema}.sweeps DROP undo_from, DROP undo_to, DROP expected`);
  }
}
