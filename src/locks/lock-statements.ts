import { hostname } from 'node:os';
import { escapeLiteral } from 'pg';

/** Cut, because PostgreSQL keeps 63 bytes of an application name, and what is held should be among them. */
const HOST = hostname().slice(0, 24);

/** PostgreSQL keeps the first kilobyte of a statement, unless configured otherwise. */
const LONGEST_NAME_SHOWN = 200;

/** The server ends a holder that sends no heartbeat for so long. The holder itself gives up earlier. */
const SERVER_HEARTBEAT_TIMEOUT = '20s';

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
 * The lock ends when the transaction has been idle for longer than a holder that is alive lets it be: each heartbeat
 * restarts that time. So a frozen process frees its lock although its kernel keeps the connection open, with or without
 * a pooler. Other timeouts that a role may carry would end the transaction early; `transaction_timeout` exists since
 * PostgreSQL 17, so it is set only if the server has it. The TCP settings are the server's: they end a session whose
 * last answer can't be delivered, which isn't idle.
 */
export function takeLockSql(label: LockLabel, key: string): string {
  const applicationName = `${label.application} ${HOST}/${process.pid} ${label.name}`;
  return `${commentOf(label)} BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
    SELECT set_config('application_name', ${escapeLiteral(printable(applicationName))}, true),
           set_config('idle_in_transaction_session_timeout', '${SERVER_HEARTBEAT_TIMEOUT}', true),
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
    if (json === undefined) {
      return undefined;
    }
    const { nameBase64, ...label } = JSON.parse(json) as LockLabel & { nameBase64?: string };
    return nameBase64 === undefined
      ? label
      : { ...label, name: JSON.parse(Buffer.from(nameBase64, 'base64url').toString()) };
  } catch {
    return undefined;
  }
}

/** A name as labels and lists show it; one that is cut already stays as it is. */
export function shownName(name: string): string {
  const isCut = name.length === LONGEST_NAME_SHOWN + 1 && name.endsWith('…');
  return name.length <= LONGEST_NAME_SHOWN || isCut ? name : `${name.slice(0, LONGEST_NAME_SHOWN)}…`;
}

/**
 * ASCII alone, because the encoding of the database may lack the characters of a name: in base64 such a name of the
 * greatest length still fits into what PostgreSQL keeps. A slash could begin or end a comment.
 */
function commentOf({ application, schema, name }: LockLabel): string {
  const shown = shownName(name);
  const written = /^[\x20-\x7e]*$/.test(shown)
    ? { name: shown }
    : { nameBase64: Buffer.from(JSON.stringify(shown)).toString('base64url') };
  const json = JSON.stringify({ application, schema, ...written });
  return `/* lock ${json.replaceAll(/[^\x20-\x2e\x30-\x7e]/g, escaped)} */`;
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?');
}
