import type { QueryRunner } from 'typeorm';
import type { WatchedTable } from '../executions/watched-table.js';
import { GUARD_BODY, GUARD_CONFIG, GUARD_FUNCTION, GUARD_TRIGGER } from './late-approval-guard.sql.js';

/** What the catalogue says about the guard and the table below it. */
export interface GuardCatalog {
  state: 'installed' | 'missing' | 'disabled' | 'outdated';
  /** What keeps a guard on this table from holding, or null. */
  obstacle: string | null;
  /** What is wrong where the state is `disabled` or `outdated`, or null. */
  fault: string | null;
  /** Roles whose sessions fire no trigger, because of their `session_replication_role`. */
  exemptRoles: string[];
  /** The right that the connected role lacks to install the guard, and to remove it; null if it lacks none. */
  lackedRight: Record<'install' | 'remove', string | null>;
}

/** The watched table, or what is below it: a partition, or a table that inherits from it. */
interface Relation {
  /** Quoted and qualified. */
  name: string;
  isRoot: boolean;
  kind: 'r' | 'p' | 'f';
  isPartition: boolean;
  /** Of the guard's trigger: fires in an ordinary session. Null where the trigger isn't there. */
  isEnabled: boolean | null;
  isCurrent: boolean | null;
  functionOwner: string | null;
  /** A trigger that fires after the guard, before the row is written. */
  laterTrigger: string | null;
  updateRule: string | null;
}

/** The watched table's owner, and what the connected role may do. */
interface Rights {
  owner: string;
  isMember: boolean;
  mayCreate: boolean;
  ownerMayCreate: boolean;
  /** Who owns the function that is there already, where the connected role may not replace it. */
  foreignOwner: string | null;
  exemptRoles: string[];
}

export async function readGuardCatalog(transaction: QueryRunner, watched: WatchedTable): Promise<GuardCatalog> {
  const [rights]: [Rights] = await transaction.query(RIGHTS, [watched.name, `"${watched.schema}".${GUARD_FUNCTION}()`]);
  const relations: Relation[] = await transaction.query(RELATIONS, [
    watched.name,
    GUARD_TRIGGER,
    GUARD_BODY,
    GUARD_CONFIG,
    watched.schema,
    GUARD_FUNCTION,
  ]);
  return {
    ...stateOf(relations, rights.owner),
    obstacle: relations.map(obstacleOf).find((obstacle) => obstacle !== null) ?? null,
    exemptRoles: rights.exemptRoles,
    lackedRight: { install: lackedToInstall(rights, watched), remove: lackedOwnership(rights, watched) },
  };
}

function stateOf(relations: readonly Relation[], owner: string): Pick<GuardCatalog, 'state' | 'fault'> {
  // A row's triggers are those of the partition that holds it; the partitioned table itself holds none.
  const holders = relations.filter(({ kind, isRoot, isPartition }) => kind !== 'p' && (isRoot || isPartition));
  const root = relations.find(({ isRoot }) => isRoot);
  if (!root || root.isEnabled === null) {
    return { state: 'missing', fault: null };
  }
  if (root.functionOwner !== owner) {
    const fault = `its function belongs to role "${root.functionOwner}", not to "${owner}", the owner of the table`;
    return { state: 'outdated', fault };
  }
  const outdated = [root, ...holders].find(({ isCurrent }) => !isCurrent);
  if (outdated) {
    return { state: 'outdated', fault: `the trigger on ${outdated.name} is not that of this version of Lapse` };
  }
  const disabled = [root, ...holders].filter(({ isEnabled }) => !isEnabled).map(({ name }) => name);
  return disabled.length > 0
    ? { state: 'disabled', fault: `its trigger is switched off on ${disabled.join(', ')}` }
    : { state: 'installed', fault: null };
}

function obstacleOf({ name, isRoot, kind, isPartition, laterTrigger, updateRule }: Relation): string | null {
  if (!isRoot && !isPartition) {
    return `table ${name} inherits from the watched table, and an update of its rows does not fire the trigger`;
  }
  if (kind === 'f') {
    return `partition ${name} is a foreign table, whose rows can be updated on the other server`;
  }
  if (updateRule !== null) {
    return `rule "${updateRule}" on ${name} rewrites updates before a trigger sees them`;
  }
  if (laterTrigger !== null) {
    return (
      `trigger "${laterTrigger}" on ${name} fires after the guard and could change the row again; rename it with ` +
      `ALTER TRIGGER … RENAME TO, so that it sorts before ${GUARD_TRIGGER}`
    );
  }
  return null;
}

/** Dropping a trigger or a function is for owners: no privilege on either allows it. */
function lackedOwnership(rights: Rights, watched: WatchedTable): string | null {
  if (!rights.isMember) {
    return `membership of role "${rights.owner}", which owns table ${watched.name}`;
  }
  if (rights.foreignOwner !== null) {
    return `ownership of function "${watched.schema}".${GUARD_FUNCTION}(), which belongs to role "${rights.foreignOwner}"`;
  }
  return null;
}

function lackedToInstall(rights: Rights, watched: WatchedTable): string | null {
  const ownership = lackedOwnership(rights, watched);
  if (ownership !== null) {
    return ownership;
  }
  if (!rights.mayCreate) {
    return `CREATE on schema "${watched.schema}"`;
  }
  return rights.ownerMayCreate ? null : `CREATE on schema "${watched.schema}" for role "${rights.owner}"`;
}

/** A superuser may give a function to the table's owner, whatever that role may create. */
const RIGHTS = `
  SELECT pg_get_userbyid(c.relowner) AS owner,
         pg_has_role(c.relowner, 'USAGE') AS "isMember",
         has_schema_privilege(c.relnamespace, 'CREATE') AS "mayCreate",
         has_schema_privilege(c.relowner, c.relnamespace, 'CREATE')
           OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS "ownerMayCreate",
         (SELECT pg_get_userbyid(p.proowner) FROM pg_proc p
           WHERE p.oid = to_regprocedure($2)::oid AND NOT pg_has_role(p.proowner, 'USAGE')) AS "foreignOwner",
         ARRAY(SELECT DISTINCT coalesce(r.rolname::text, 'every role')
                 FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
                WHERE s.setdatabase IN (0::oid, (SELECT oid FROM pg_database WHERE datname = current_database()))
                  AND EXISTS (SELECT FROM unnest(s.setconfig) setting WHERE lower(setting) = 'session_replication_role=replica')
                ORDER BY 1) AS "exemptRoles"
    FROM pg_class c WHERE c.oid = $1::regclass::oid`;

/**
 * Bits of tgtype: 1 for each row, 2 before, 16 update. The casts leave each operator one exact match, in pg_catalog: the
 * doctor may be run by a superuser, and another role may have put a better match into `public`.
 */
const RELATIONS = `
  WITH RECURSIVE tree AS (
    SELECT $1::regclass::oid AS oid
    UNION
    SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
  )
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.oid = $1::regclass::oid AS "isRoot", c.relkind AS kind,
         c.relispartition AS "isPartition",
         t.tgenabled IN ('O', 'A') AS "isEnabled",
         t.tgtype = 19 AND t.tgqual IS NULL AND t.tgattr::text = '' AND p.prosrc = $3 AND NOT p.prosecdef
           AND p.proconfig = $4::text[] AND p.pronamespace = to_regnamespace(quote_ident($5))::oid AND p.proname = $6 AS "isCurrent",
         pg_get_userbyid(p.proowner) AS "functionOwner",
         (SELECT min(l.tgname::text) FROM pg_trigger l
           WHERE l.tgrelid = c.oid AND NOT l.tgisinternal AND l.tgtype::int & 19 = 19 AND l.tgenabled IN ('O', 'A')
             AND l.tgname > $2) AS "laterTrigger",
         (SELECT min(r.rulename::text) FROM pg_rewrite r
           WHERE r.ev_class = c.oid AND r.ev_type = '2' AND r.ev_enabled <> 'D') AS "updateRule"
    FROM tree
    JOIN pg_class c ON c.oid = tree.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname = $2
    LEFT JOIN pg_proc p ON p.oid = t.tgfoid`;
