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

/**
 * Whether an SQLSTATE tells of trouble of the connection or the server, which passes and is no statement's fault:
 * connection exceptions, exhausted resources, system errors, internal errors, a server that starts or stops.
 */
export function isServerTrouble(state: string): boolean {
  return ['08', '53', '58', 'XX'].includes(state.slice(0, 2)) || state.startsWith('57P');
}
