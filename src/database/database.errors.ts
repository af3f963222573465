/** Another process has been migrating the same schema for longer than a migration may take. */
export class MigrationsBusyError extends Error {
  constructor(
    readonly schema: string,
    readonly waitedMs: number,
  ) {
    super(
      `The migrations of schema "${schema}" could not begin for ${Math.round(waitedMs / 1000)} s: another process is ` +
        'migrating, or a transaction keeps one of the tables locked; wait for it, or end its session, and start again',
    );
    this.name = 'MigrationsBusyError';
  }
}

/** The role may not create what Lapse needs. */
export class SchemaPermissionError extends Error {
  constructor(
    readonly schema: string,
    override readonly cause: unknown,
  ) {
    super(
      `The database role may not create Lapse's tables in schema "${schema}" (${messageOf(cause)}); ` +
        `let the owner of the database run: CREATE SCHEMA IF NOT EXISTS "${schema}"; ` +
        `GRANT USAGE, CREATE ON SCHEMA "${schema}" TO <the role in DATABASE_URL>;`,
      { cause },
    );
    this.name = 'SchemaPermissionError';
  }
}

/** `LAPSE_CREATE_WATCHED_TABLES` is on, and the host's schema is missing or the role may not create tables in it. */
export class WatchedTableNotCreatedError extends Error {
  constructor(
    readonly schema: string,
    override readonly cause: unknown,
  ) {
    super(
      `The watched table can't be created in schema "${schema}" (${messageOf(cause)}); set LAPSE_WATCHED_SCHEMA to a ` +
        `schema in which the role may create tables, or let an owner run: CREATE SCHEMA IF NOT EXISTS "${schema}"; ` +
        `GRANT USAGE, CREATE ON SCHEMA "${schema}" TO <the role in DATABASE_URL>`,
      { cause },
    );
    this.name = 'WatchedTableNotCreatedError';
  }
}

/** The server answered, and its answer won't change by waiting: a wrong password, an unknown database. */
export class DatabaseRefusedError extends Error {
  constructor(
    readonly variable: string,
    override readonly cause: unknown,
  ) {
    super(`PostgreSQL refused the connection: ${messageOf(cause)}; check ${variable}`, { cause });
    this.name = 'DatabaseRefusedError';
  }
}

/** TLS, as the URL asks for it, fails; waiting does not help. */
export class DatabaseTlsError extends Error {
  constructor(
    readonly reason: string,
    /** What a person can do. */
    readonly remedy: string,
    override readonly cause?: unknown,
  ) {
    super(`no TLS connection to PostgreSQL: ${reason}; ${remedy}`, { cause });
    this.name = 'DatabaseTlsError';
  }
}

/** The server answered that it speaks no TLS. */
export class TlsNotOfferedError extends DatabaseTlsError {
  constructor(cause: unknown) {
    super('the server does not offer it', 'switch "ssl" on there, or use sslmode=prefer or sslmode=disable', cause);
    this.name = 'TlsNotOfferedError';
  }
}

/** A certificate or key that the URL names can't be used. */
export class TlsFileError extends DatabaseTlsError {
  constructor(reason: string, cause?: unknown) {
    super(
      cause === undefined ? reason : `${reason} (${messageOf(cause)})`,
      'check the files that sslrootcert, sslcert, sslkey and sslcrl name',
      cause,
    );
    this.name = 'TlsFileError';
  }
}

/** The server asks for a password, and the URL has none. */
export class DatabasePasswordMissingError extends Error {
  /** What a person can do. */
  readonly remedy = 'write it into the URL';

  constructor() {
    super(
      'the server asks for a password, and the URL has none; write it there (PGPASSWORD and ~/.pgpass are not read)',
    );
    this.name = 'DatabasePasswordMissingError';
  }
}

/** No connection can be had with the URL as it is, whatever the server does later. */
export class DatabaseUrlUnusableError extends Error {
  constructor(
    readonly variable: string,
    override readonly cause: DatabaseTlsError | DatabasePasswordMissingError,
  ) {
    super(`${variable}: ${cause.message}`, { cause });
    this.name = 'DatabaseUrlUnusableError';
  }
}

/** No connection could be had; the cause says why, with its SQLSTATE where a server said anything. */
export class DatabaseUnreachableError extends Error {
  constructor(
    override readonly cause: unknown,
    /** The variable that leads there, where more than one does. */
    readonly variable: string = 'DATABASE_URL',
  ) {
    super(`PostgreSQL can't be reached: ${messageOf(cause)}`, { cause });
    this.name = 'DatabaseUnreachableError';
  }
}

/** The database can be read but not written: it is a standby, or its transactions are read-only by default. */
export class DatabaseReadOnlyError extends Error {
  constructor(override readonly cause: unknown) {
    super(
      `PostgreSQL does not accept writes (${messageOf(cause)}); connect DATABASE_URL to the primary, or check ` +
        'default_transaction_read_only',
      { cause },
    );
    this.name = 'DatabaseReadOnlyError';
  }
}

/** All connections that this kind of work may use were busy for five seconds. */
export class DatabaseBusyError extends Error {
  constructor(readonly capacity: string) {
    super(`All database connections for ${capacity} are in use; try again in a few seconds`);
    this.name = 'DatabaseBusyError';
  }
}

/** A transaction was started inside another one, where it would wait for a second connection. A programming error. */
export class NestedTransactionError extends Error {
  constructor() {
    super('A transaction is already open in this call; pass it on instead of opening another');
    this.name = 'NestedTransactionError';
  }
}

/** What an error says. Node reports a refused connection to several addresses as an AggregateError without a message. */
export function messageOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.message === '') {
    return cause.errors.map(messageOf).join(', ');
  }
  return cause instanceof Error ? cause.message : String(cause);
}
