import { ConfigurationInvalidError } from './config/configuration.errors.js';
import * as databaseErrors from './database/database.errors.js';
import * as embeddedErrors from './database/embedded-postgres/embedded-postgres.errors.js';
import { WatchedTableMissingError, WatchedTableUnsuitableError } from './executions/watched-table.errors.js';

/** The service can't listen on the address that `HOST` and `PORT` name. */
export class ListenFailedError extends Error {
  readonly reason: string;
  /** What a person can do. */
  readonly remedy: string;

  constructor(
    readonly host: string,
    readonly port: number,
    override readonly cause: NodeJS.ErrnoException,
  ) {
    const [because, remedy] = explain(cause, host, port);
    const reason = `Can't listen on HOST=${host} PORT=${port}: ${because}`;
    super(`${reason}; ${remedy}`, { cause });
    this.name = 'ListenFailedError';
    this.reason = reason;
    this.remedy = remedy;
  }
}

function explain({ code, message }: NodeJS.ErrnoException, host: string, port: number): [string, string] {
  switch (code) {
    case 'EADDRINUSE':
      return ['another process listens there (EADDRINUSE)', 'end that one, or set PORT to a free port'];
    case 'EACCES':
      return [`this user may not listen on port ${port} (EACCES)`, 'set PORT to 1024 or higher'];
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'EAI_AGAIN':
    case 'EINVAL':
    case 'ENOTFOUND':
      return [
        `${host} is no address of this machine (${code})`,
        'set HOST to one, to 0.0.0.0 for all of IPv4, or to :: for all',
      ];
    default:
      return [message, 'set HOST and PORT to an address that is free'];
  }
}

/** Errors of which the message says what to do. */
const ACTIONABLE = [
  ConfigurationInvalidError,
  ListenFailedError,
  WatchedTableMissingError,
  WatchedTableUnsuitableError,
  ...Object.values(databaseErrors),
  ...Object.values(embeddedErrors),
].filter(
  (exported): exported is typeof ListenFailedError =>
    exported.prototype instanceof Error && exported !== databaseErrors.DatabaseUnreachableError,
);

/** What stopped the start, in one line that ends with what to do. */
export function startErrorLine(error: unknown): string {
  const line = databaseErrors
    .messageOf(error)
    .trim()
    .replace(/\s*\n\s*/g, ' ');
  return ACTIONABLE.some((type) => error instanceof type)
    ? line
    : `${line}; "lapse doctor" looks closer, and LAPSE_LOG_LEVEL=debug shows the stack`;
}
