import type { LockConnections } from './lock-connections.js';
import { labelIn, shownName } from './lock-statements.js';

/** A lock that is held now and who holds it, as far as PostgreSQL shows it to our role. */
export interface LockHolder {
  name: string;
  /**
   * Since when, cut to milliseconds: the start of the holder's transaction. For a session-level lock of a session without
   * one, the time at which the session became idle: the lock is as old, or older. Null if the role may not see it.
   */
  since: Date | null;
  /** What the holder calls itself, cut to 63 bytes. One of Lapse's own says its machine, process and what it holds. */
  applicationName: string;
  /** Null for a Unix socket, and if the role may not see other roles' sessions. A pooler's, if there is one. */
  clientAddress: string | null;
  /** The server process: `pg_terminate_backend(pid)` takes the lock away. Null for a prepared transaction. */
  pid: number | null;
}

/**
 * Whoever holds one of the keys, or has labelled a lock as Lapse does: shared or exclusive, for a session or a
 * transaction, by whatever program. `objsubid` 2 are locks with two keys of 32 bits, which never meet ours.
 */
const HOLDERS = `
  SELECT DISTINCT held.key::text AS key, a.query AS statement,
         coalesce(a.xact_start, a.state_change, x.prepared) AS since,
         coalesce(nullif(a.application_name, ''), 'prepared transaction ' || x.gid, 'role ' || a.usename, '') AS "applicationName",
         host(a.client_addr) AS "clientAddress", held.pid
    FROM (SELECT (l.classid::bigint << 32) | l.objid::bigint AS key, l.pid, l.virtualtransaction
            FROM pg_locks l
           WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) held
    LEFT JOIN pg_stat_activity a ON a.pid = held.pid
    LEFT JOIN pg_locks xact ON held.pid IS NULL AND xact.pid IS NULL AND xact.locktype = 'transactionid'
                           AND xact.virtualtransaction = held.virtualtransaction
    LEFT JOIN pg_prepared_xacts x ON x.transaction = xact.transactionid
   WHERE held.key = ANY ($1::bigint[]) OR ($2 AND a.query LIKE '/* lock {%')
   ORDER BY since, pid`;

interface HolderRow extends Omit<LockHolder, 'name'> {
  key: string;
  statement: string | null;
}

/**
 * Returns who holds the lock, the longest first if several share it; undefined if nobody does.
 *
 * @throws LockUnavailableError
 */
export async function findHolder(connections: LockConnections, name: string): Promise<LockHolder | undefined> {
  const [row] = await connections.query<HolderRow>(HOLDERS, [[await connections.keyOf(name)], false], name);
  if (!row) {
    return undefined;
  }
  const { key: _key, statement: _statement, ...holder } = row;
  return { name, ...holder };
}

/**
 * Returns the holders of the locks with these names, and of those that are labelled as locks of the same application and
 * schema, the longest first. A key doesn't tell its name: a lock that another program took is found by its name only.
 *
 * @throws LockUnavailableError
 */
export async function findHolders(connections: LockConnections, names: readonly string[]): Promise<LockHolder[]> {
  const keys = new Map(await Promise.all(names.map(async (name) => [await connections.keyOf(name), name] as const)));
  const rows = await connections.query<HolderRow>(HOLDERS, [[...keys.keys()], true]);
  return rows.flatMap(({ key, statement, ...holder }) => {
    const name = keys.get(key) ?? labelledName(connections, statement ?? '');
    return name === undefined ? [] : [{ name: shownName(name), ...holder }];
  });
}

function labelledName({ settings }: LockConnections, statement: string): string | undefined {
  const label = labelIn(statement);
  return label?.application === settings.application && label.schema === settings.schema ? label.name : undefined;
}
