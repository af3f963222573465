import { ConsoleLogger, type LogLevel } from '@nestjs/common';
import type { LogSettings } from './config/log-settings.js';

/** Who logs each module and route at startup. The OpenAPI document has the same, in better words. */
const BOOT_CONTEXTS = ['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication'];

/** Who logs what stops the startup, with its stack; `startService` logs the same in one line, with what to do. */
const START_ERROR_CONTEXTS = ['ExceptionHandler', 'NestApplication'];

const NEST_LEVELS: Record<LogSettings['level'], LogLevel[]> = {
  error: ['fatal', 'error'],
  warn: ['fatal', 'error', 'warn'],
  info: ['fatal', 'error', 'warn', 'log'],
  debug: ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'],
};

/** One record an event, as text or as JSON. Times are ISO 8601 in UTC in both. */
export class ServiceLogger extends ConsoleLogger {
  constructor(private readonly settings: LogSettings) {
    super({
      json: settings.format === 'json',
      colors: settings.format === 'text' && process.stdout.isTTY === true,
      prefix: 'Lapse',
      logLevels: NEST_LEVELS[settings.level],
    });
  }

  override log(message: unknown, ...rest: unknown[]): void {
    if (this.settings.level === 'debug' || !BOOT_CONTEXTS.includes(String(rest.at(-1)))) {
      super.log(message, ...rest);
    }
  }

  override error(message: unknown, ...rest: unknown[]): void {
    if (!START_ERROR_CONTEXTS.includes(String(rest.at(-1)))) {
      super.error(message, ...rest);
    }
  }

  protected override getTimestamp(): string {
    return new Date().toISOString();
  }

  protected override getJsonLogObject(
    ...record: Parameters<ConsoleLogger['getJsonLogObject']>
  ): ReturnType<ConsoleLogger['getJsonLogObject']> {
    return Object.assign(super.getJsonLogObject(...record), { timestamp: this.getTimestamp() });
  }
}
