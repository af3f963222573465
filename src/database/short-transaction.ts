import type { DataSource, QueryRunner } from 'typeorm';
import { sqlStateOf } from './sql-state.js';

/** Limits in milliseconds that PostgreSQL itself enforces while the transaction runs. */
export interface TransactionLimits {
  statementTimeout: number;
  lockTimeout: number;
}

/**
 * Runs `work` in one READ COMMITTED transaction, and commits it.
 *
 * Everything that a role, a database or a pooler may have set otherwise and that would change a result is set here, for
 * this transaction alone: isolation, time zone, date style and timeouts. So is what keeps plans to the few rows that a
 * short transaction wants, in the order of an index, where statistics are stale or missing: a sort or a bitmap would
 * read all that is overdue for each batch. It is one round trip, with the BEGIN.
 */
export async function inShortTransaction<T>(
  dataSource: DataSource,
  limits: TransactionLimits,
  work: (transaction: QueryRunner) => Promise<T>,
): Promise<T> {
  const queryRunner = dataSource.createQueryRunner();
  try {
    await queryRunner.query(`BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
      SET LOCAL TimeZone = 'UTC';
      SET LOCAL DateStyle = 'ISO, YMD';
      SET LOCAL enable_sort = off;
      SET LOCAL enable_bitmapscan = off;
      SET LOCAL jit = off;
      SET LOCAL statement_timeout = ${limits.statementTimeout};
      SET LOCAL lock_timeout = ${limits.lockTimeout}`);
    const result = await work(queryRunner);
    await queryRunner.query('COMMIT');
    return result;
  } catch (error) {
    await rollBack(queryRunner, error);
    throw error;
  } finally {
    await queryRunner.release();
  }
}

/** An error without a SQLSTATE came from the connection, not from the server: such a connection is not used again. */
async function rollBack(queryRunner: QueryRunner, error: unknown): Promise<void> {
  try {
    if (sqlStateOf(error) !== undefined) {
      await queryRunner.query('ROLLBACK');
      return;
    }
  } catch {
    // Falls through: a connection that can't even roll back is closed, which rolls back on the server.
  }
  const connection = (await queryRunner.connect().catch(() => undefined)) as { end(): Promise<void> } | undefined;
  await connection?.end().catch(() => undefined);
}
