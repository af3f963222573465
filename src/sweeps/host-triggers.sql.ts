import type { WatchedTable } from '../executions/watched-table.js';

/** Triggers of Lapse's own are named like this; none of them changes a row that is being timed out or reopened. */
const OWN_TRIGGERS = 'zz\\_lapse\\_%';

/** Bits of pg_trigger.tgtype. An update that moves a row to another partition inserts it there. */
const BEFORE = 2;
const INSERT_OR_UPDATE = 4 | 16;

/**
 * SQL: whether the watched table or a partition of it has a trigger of the host that fires after a write, whose effects
 * the RETURNING of the statement that fires it can't show; those of a BEFORE trigger it shows. The statement that writes
 * asks, since it holds a lock that keeps triggers from being created.
 */
export function hasAfterTriggers(watched: WatchedTable): string {
  const table = `'${watched.name}'::regclass`;
  const relations = watched.partitioned ? `(SELECT relid FROM pg_partition_tree(${table}))` : `(${table})`;
  return `EXISTS (
    SELECT FROM pg_trigger g
     WHERE g.tgrelid IN ${relations} AND NOT g.tgisinternal AND g.tgenabled <> 'D'
       AND g.tgtype & ${BEFORE} = 0 AND g.tgtype & ${INSERT_OR_UPDATE} <> 0 AND g.tgname NOT LIKE '${OWN_TRIGGERS}')`;
}

/** Lets deferred triggers fire now: what they do is read back like the rest, and their errors belong to the rows. */
export const FIRE_DEFERRED_TRIGGERS = 'SET CONSTRAINTS ALL IMMEDIATE';

/** SQL: `updated_at` of the row `e` as the ledger keeps it for comparison. A host whose column may be NULL is rare. */
export function rowUpdatedAt(watched: WatchedTable): string {
  return `coalesce(${watched.updatedAt('e')}, '-infinity')`;
}

/**
 * SQL: reads back what triggers have made of executions that this transaction has timed out, keeps their final
 * `updated_at`, and counts those that aren't `failed`.
 *
 * RETURNING shows a row as the statement stored it; what an AFTER or a deferred trigger does to it later in the same
 * transaction is missing there. Nobody else can change the rows meanwhile: they are locked.
 * The row's xmin would not do instead of this: a trigger that handles exceptions writes under a subtransaction's id, and
 * rewriting the table replaces them all.
 *
 * @param timeoutIds SQL: the ledger rows, uuid[].
 */
export function readBackTimedOut(watched: WatchedTable, schema: string, timeoutIds: string): string {
  return `
    WITH final AS MATERIALIZED (
      SELECT t.ctid AS place, e.status, ${rowUpdatedAt(watched)} AS row_updated_at
        FROM ${schema}.timeouts t CROSS JOIN LATERAL ${watched.byKeyOf('t')} e
       WHERE t.id = ANY (${timeoutIds}) AND e.id = t.execution_id
    ),
    kept AS (
      UPDATE ${schema}.timeouts t SET row_updated_at = final.row_updated_at
        FROM final WHERE t.ctid = final.place AND t.row_updated_at <> final.row_updated_at
    )
    SELECT count(*)::int AS suppressed FROM final WHERE status <> 'failed'`;
}

/** SQL: counts the executions that this transaction has reopened and a trigger of the host has failed again. */
export function readBackReopened(watched: WatchedTable, schema: string, timeoutIds: string): string {
  return `
    SELECT count(*)::int AS suppressed
      FROM ${schema}.timeouts t CROSS JOIN LATERAL ${watched.byKeyOf('t')} e
     WHERE t.id = ANY (${timeoutIds}) AND e.id = t.execution_id AND e.status = 'failed'`;
}
