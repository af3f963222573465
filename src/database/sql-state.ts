/** The five-character SQLSTATE of an error raised by PostgreSQL; undefined for any other error. */
export function sqlStateOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) {
    return undefined;
  }
  const { code, cause, driverError } = error as { code?: unknown; cause?: unknown; driverError?: unknown };
  if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) {
    return code;
  }
  return sqlStateOf(driverError ?? cause);
}

/** The statement was refused because the server or the transaction is read-only: a standby, or a setting. */
export const READ_ONLY = '25006';

/** The role lacks a right. */
export const INSUFFICIENT_PRIVILEGE = '42501';

/** There is no such schema. */
export const INVALID_SCHEMA_NAME = '3F000';

/** A lock was not free within lock_timeout. */
export const LOCK_NOT_AVAILABLE = '55P03';

/** A statement ran longer than statement_timeout, or somebody cancelled it. */
export const QUERY_CANCELED = '57014';

/** A text has a character that the database's encoding does not have. */
const UNTRANSLATABLE_CHARACTER = ['22P05', '22021'];

export function isUntranslatable(error: unknown): boolean {
  return UNTRANSLATABLE_CHARACTER.includes(sqlStateOf(error) ?? '');
}

/** The transaction was rolled back in favour of another one: a serialization failure or a deadlock. */
const LOST_TO_ANOTHER = ['40001', '40P01'];

export function isLostToAnother(error: unknown): boolean {
  return LOST_TO_ANOTHER.includes(sqlStateOf(error) ?? '');
}

/**
 * Whether an SQLSTATE reports trouble of the connection or the server, which passes and is no statement's fault:
 * connection exceptions, exhausted resources, system errors, internal errors, a server that starts, stops or is
 * read-only.
 */
export function isServerTrouble(state: string): boolean {
  return (
    ['08', '53', '58', 'XX'].includes(state.slice(0, 2)) ||
    state.startsWith('57P') ||
    IN_TRANSACTION_TIMEOUTS.includes(state) ||
    state === READ_ONLY
  );
}

/** PostgreSQL ended the session because it was idle in a transaction, or the transaction took too long. */
const IN_TRANSACTION_TIMEOUTS = ['25P03', '25P04'];
