/** A lock that is held now and who holds it, as PostgreSQL tells it. */
export interface LockHolder {
  name: string;
  /** Since when, cut to milliseconds. Null where the role may not see other roles' sessions. */
  since: Date | null;
  /** The holder's machine and process, and what it holds, cut to 63 bytes. */
  applicationName: string;
  /** Null for a Unix socket, and where the role may not see other roles' sessions. A pooler's, where there is one. */
  clientAddress: string | null;
  /** The server process that keeps the lock: `pg_terminate_backend(pid)` takes it away. */
  pid: number;
}
