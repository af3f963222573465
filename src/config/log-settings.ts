export const LOG_FORMATS = ['text', 'json'] as const;
/** From the quietest. Each includes those before it. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;

/** How the service writes its log. */
export interface LogSettings {
  format: (typeof LOG_FORMATS)[number];
  level: (typeof LOG_LEVELS)[number];
}

/**
 * Reads how to log. Never fails, so that faults of the configuration, these two variables included, can be logged: what
 * is not allowed gets its default here, and is refused by `readConfiguration`.
 */
export function readLogSettings(variables: NodeJS.ProcessEnv = process.env): LogSettings {
  const { LAPSE_LOG, LAPSE_LOG_LEVEL, DATABASE_URL } = variables;
  return {
    // A service with a database of its own runs in a terminal, one that was given a database has a log collector.
    format: LOG_FORMATS.find((format) => format === LAPSE_LOG) ?? (DATABASE_URL ? 'json' : 'text'),
    level: LOG_LEVELS.find((level) => level === LAPSE_LOG_LEVEL) ?? 'info',
  };
}
