/** Another process has been migrating the same schema for longer than a migration may take. */
export class MigrationsBusyError extends Error {
  constructor(
    readonly schema: string,
    readonly waitedMs: number,
  ) {
    super(
      `Another process has held the migration lock of schema "${schema}" for ${Math.round(waitedMs / 1000)} s; ` +
        'wait for it, or end its session, and start again',
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
        `let an owner run: CREATE SCHEMA "${schema}" AUTHORIZATION <the role in DATABASE_URL>`,
      { cause },
    );
    this.name = 'SchemaPermissionError';
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

/** What an error says. Node reports a refused connection to several addresses as an AggregateError without a message. */
export function messageOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.message === '') {
    return cause.errors.map(messageOf).join(', ');
  }
  return cause instanceof Error ? cause.message : String(cause);
}
