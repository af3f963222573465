import type { DataSource, QueryRunner } from 'typeorm';
import { inShortTransaction, type TransactionLimits } from './short-transaction.js';
import { READ_ONLY } from './sql-state.js';

/** Why a database that answers can't be written, and what to do about it. */
export interface ReadOnlyReason {
  kind: 'standby' | 'read-only default' | 'read-only server';
  /** In a few words without any name, for everybody. */
  summary: string;
  seen: string;
  remedy: string;
}

/** The source of the setting is looked up only if it matters: `pg_settings` computes all of its rows. */
const WRITABILITY = `
  SELECT pg_is_in_recovery() AS standby,
         current_setting('transaction_read_only') = 'on' AS "readOnly",
         current_user AS role, current_database() AS database,
         CASE WHEN current_setting('transaction_read_only') = 'on'
              THEN (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only') END AS source`;

/** Sources of a setting that belong to the server as a whole, so that no role or database can be blamed for it. */
const SERVER_SOURCES = ['configuration file', 'command line', 'global', 'environment variable'];

/**
 * Returns why the database can't be written; null if it can. If it can't, the connection is replaced like one whose
 * write was refused: a session keeps the read-only default that it began with, and stays on the server it reached.
 *
 * @throws whatever the database answers if it can't be asked.
 */
export async function readOnlyReason(
  dataSource: DataSource,
  limits: TransactionLimits,
): Promise<ReadOnlyReason | null> {
  try {
    await inShortTransaction(dataSource, limits, assertWritable);
    return null;
  } catch (error) {
    if (error instanceof ReadOnlyConnectionError) {
      return error.reason;
    }
    throw error;
  }
}

async function assertWritable(transaction: QueryRunner): Promise<void> {
  const [found] = await transaction.query(WRITABILITY);
  if (found.standby) {
    throw new ReadOnlyConnectionError({
      kind: 'standby',
      summary: 'the server is a standby',
      seen: 'the server is a standby: it repeats what its primary does, and accepts no writes',
      remedy: 'let DATABASE_URL lead to the primary; or promote this server if the primary is gone',
    });
  }
  if (found.readOnly && SERVER_SOURCES.includes(found.source)) {
    throw new ReadOnlyConnectionError({
      kind: 'read-only server',
      summary: 'the server makes all transactions read-only',
      seen: 'the server makes all transactions read-only (default_transaction_read_only = on in its configuration)',
      remedy:
        'find out why: hosting providers do it when the disk is nearly full; then set default_transaction_read_only = off, and reload',
    });
  }
  if (found.readOnly) {
    const { role, database } = found;
    throw new ReadOnlyConnectionError({
      kind: 'read-only default',
      summary: 'its transactions are read-only by default',
      seen: `transactions of role "${role}" in database "${database}" are read-only by default (set for the ${found.source})`,
      remedy: `find out why it was set; then run: SET default_transaction_read_only = off; ALTER ${found.source === 'database' ? `DATABASE "${database}"` : `ROLE "${role}"`} RESET default_transaction_read_only;`,
    });
  }
}

/** Carries the SQLSTATE of a refused write, because it says the same of the connection. */
class ReadOnlyConnectionError extends Error {
  readonly code = READ_ONLY;

  constructor(readonly reason: ReadOnlyReason) {
    super(`The database can't be written: ${reason.seen}`);
    this.name = 'ReadOnlyConnectionError';
  }
}
