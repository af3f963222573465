import type { DataSource, QueryRunner } from 'typeorm';
import { schemaOf } from '../database/schema-of.js';
import { inShortTransaction } from '../database/short-transaction.js';
import { LOCK_NOT_AVAILABLE, sqlStateOf } from '../database/sql-state.js';
import type { WatchedTable } from '../executions/watched-table.js';
import { readGuardCatalog } from './late-approval-guard.catalog.js';
import { GUARD_SQLSTATE } from './late-approval-guard.sql.js';

/**
 * `disabled`: its trigger is switched off; `outdated`: it is not as this version of Lapse would install it; `ineffective`: it
 * is there, and a late approval passes, or could.
 */
export type GuardState = 'installed' | 'missing' | 'disabled' | 'outdated' | 'ineffective';

export interface GuardReport {
  state: GuardState;
  /** Whether a late approval was tried, and rolled back. */
  tried: boolean;
  /** Why it is not `installed`, or why it was not tried; null if it was tried and refused, and if it is missing. */
  reason: string | null;
  /** Roles whose sessions fire no trigger, because of their `session_replication_role`. */
  exemptRoles: string[];
}

const LIMITS = { statementTimeout: 5_000, lockTimeout: 500 };

/** Whether the guard holds on the watched table: what the catalogue says, and what a late approval gets that is rolled back. */
export function examineGuard(dataSource: DataSource, watched: WatchedTable): Promise<GuardReport> {
  return inShortTransaction(dataSource, LIMITS, (transaction) =>
    reportOnGuard(transaction, watched, schemaOf(dataSource)),
  );
}

/** @param schema Lapse's, quoted. */
export async function reportOnGuard(
  transaction: QueryRunner,
  watched: WatchedTable,
  schema: string,
): Promise<GuardReport> {
  const { state, obstacle, fault, exemptRoles } = await readGuardCatalog(transaction, watched);
  if (state !== 'installed') {
    return { state, tried: false, reason: fault, exemptRoles };
  }
  if (obstacle !== null) {
    return { state: 'ineffective', tried: false, reason: obstacle, exemptRoles };
  }
  const { outcome, reason } = await tryLateApproval(transaction, watched, schema);
  return {
    state: outcome === 'passed' ? 'ineffective' : 'installed',
    tried: outcome !== 'not tried',
    reason,
    exemptRoles,
  };
}

interface Trial {
  outcome: 'refused' | 'passed' | 'not tried';
  reason: string | null;
}

const notTried = (reason: string): Trial => ({ outcome: 'not tried', reason });

/** Leaves nothing behind, its own limits included: while the guard is installed, every writer waits for this. */
async function tryLateApproval(transaction: QueryRunner, watched: WatchedTable, schema: string): Promise<Trial> {
  await transaction.query(`SAVEPOINT late_approval; SET LOCAL statement_timeout = 1000; SET LOCAL lock_timeout = 500`);
  try {
    return await approveTooLate(transaction, watched, schema);
  } catch (error) {
    switch (sqlStateOf(error)) {
      case GUARD_SQLSTATE:
        return { outcome: 'refused', reason: null };
      case LOCK_NOT_AVAILABLE:
        return notTried('the table is locked by another session');
      case undefined:
        throw error;
      default:
        return notTried(`the attempt failed: ${(error as Error).message}`);
    }
  } finally {
    await transaction.query('ROLLBACK TO SAVEPOINT late_approval');
  }
}

async function approveTooLate(transaction: QueryRunner, watched: WatchedTable, schema: string): Promise<Trial> {
  const found =
    (await lockOne(transaction, watched, await findTimedOut(transaction, watched, schema))) ??
    (await lockOne(transaction, watched, null));
  if (!found) {
    return notTried('the table is empty, or other transactions hold all of its rows');
  }
  const { isTimedOut, ...key } = found;
  if (!isTimedOut) {
    const [[failed]] = await transaction.query(
      updateOf(watched, `status = 'failed', metadata = ${MARKED}`),
      keyOf(key),
    );
    if (failed?.status !== 'failed' || failed.failureReason !== 'approval_timeout') {
      return notTried('the table did not let an execution be timed out for it');
    }
  }
  const [[approved]] = await transaction.query(updateOf(watched, `status = 'running'`), keyOf(key));
  if (!approved || approved.status === 'failed') {
    return notTried('the table suppressed the update without an error');
  }
  const [{ role }] = await transaction.query(`SELECT current_setting('session_replication_role') AS role`);
  const because = role === 'replica' ? ', since session_replication_role is replica' : '';
  return { outcome: 'passed', reason: `a late approval was tried, and passed${because}` };
}

interface Key {
  tenantId: string;
  projectId: string;
  id: string;
}

/** The latest that Lapse has timed out: such a row needs not be made, which the table might refuse. */
async function findTimedOut(transaction: QueryRunner, watched: WatchedTable, schema: string): Promise<Key | null> {
  const [key] = await transaction.query(
    `WITH latest AS MATERIALIZED (
       SELECT tenant_id, project_id, execution_id FROM ${schema}.timeouts ORDER BY id DESC LIMIT 20
     )
     SELECT t.tenant_id AS "tenantId", t.project_id AS "projectId", t.execution_id AS id
       FROM latest t CROSS JOIN LATERAL ${watched.byKeyOf('t')} e
      WHERE e.id = t.execution_id AND e.status = 'failed' LIMIT 1`,
  );
  return key ?? null;
}

async function lockOne(
  transaction: QueryRunner,
  watched: WatchedTable,
  key: Key | null,
): Promise<(Key & { isTimedOut: boolean }) | null> {
  const [row] = await transaction.query(
    `SELECT tenant_id::text AS "tenantId", project_id::text AS "projectId", id::text AS id,
            coalesce(status = 'failed' AND metadata ->> 'failureReason' = 'approval_timeout', false) AS "isTimedOut"
       FROM ${watched.name} ${key ? `WHERE ${IS_KEY}` : ''} LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED`,
    key ? keyOf(key) : [],
  );
  return row ?? null;
}

function updateOf(watched: WatchedTable, change: string): string {
  return `UPDATE ${watched.name} SET ${change} WHERE ${IS_KEY}
          RETURNING status, metadata ->> 'failureReason' AS "failureReason"`;
}

function keyOf({ tenantId, projectId, id }: Key): string[] {
  return [tenantId, projectId, id];
}

const IS_KEY = 'tenant_id = $1 AND project_id = $2 AND id = $3';

const MARKED = `'{"failureReason": "approval_timeout", "timedOutAt": null, "sweepId": null}'::jsonb`;
