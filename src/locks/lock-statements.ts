import { hostname } from 'node:os';
import pg from 'pg';

/** Cut, because PostgreSQL keeps 63 bytes of an application name, and what is held should be among them. */
const HOST = hostname().slice(0, 24);

/** PostgreSQL keeps the first kilobyte of a statement, unless configured otherwise. */
const LONGEST_NAME_SHOWN = 200;

/** What the statements of a lock say about it to whoever reads `pg_stat_activity`. */
export interface LockLabel {
  application: string;
  schema: string;
  name: string;
}

/**
 * One round trip of simple queries. A transaction lock rather than a session lock, because a pooler in transaction
 * mode keeps a server connection for a transaction only.
 *
 * Timeouts that a role may carry would end the transaction early; the last one exists since PostgreSQL 17, so it is set
 * only where there is one. The TCP settings are the server's: where the holder's machine is gone without a word, it frees
 * the lock after 20 seconds, rather than two hours, and a holder that is cut off has been told by then.
 */
export function takeLockSql(label: LockLabel, key: string): string {
  const applicationName = `${label.application} ${HOST}/${process.pid} ${label.name}`;
  return `${commentOf(label)} BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
    SELECT set_config('application_name', ${pg.escapeLiteral(printable(applicationName))}, true),
           set_config('idle_in_transaction_session_timeout', '0', true),
           CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL
                THEN set_config('transaction_timeout', '0', true) END,
           set_config('tcp_keepalives_idle', '5', true),
           set_config('tcp_keepalives_interval', '5', true),
           set_config('tcp_keepalives_count', '3', true),
           set_config('tcp_user_timeout', '20s', true),
           pg_try_advisory_xact_lock('${key}'::bigint) AS locked`;
}

/** A simple query: one with parameters would leave a portal open, and with it a snapshot that holds back vacuum. */
export function heartbeatSql(label: LockLabel): string {
  return `${commentOf(label)} SELECT`;
}

/** What the last statement of a session says about the lock that the session holds; undefined where it says nothing. */
export function labelIn(statement: string): LockLabel | undefined {
  const [, json] = /^\/\* lock (\{.*?\}) \*\//.exec(statement) ?? [];
  try {
    return json === undefined ? undefined : (JSON.parse(json) as LockLabel);
  } catch {
    return undefined;
  }
}

/** A slash could begin or end a comment. */
function commentOf({ application, schema, name }: LockLabel): string {
  const shown = name.length > LONGEST_NAME_SHOWN ? `${name.slice(0, LONGEST_NAME_SHOWN)}…` : name;
  return `/* lock ${JSON.stringify({ application, schema, name: shown }).replaceAll('/', '\\u002f')} */`;
}

function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?');
}
