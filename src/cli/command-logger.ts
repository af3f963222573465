import type { LoggerService } from '@nestjs/common';

/**
 * Whose words would mislead here: the schedule is off in a command whatever the service does, the end of a sweep is
 * told by the command, and so is an error at boot.
 */
const UNTOLD_CONTEXTS = ['Schedule', 'Sweeps', 'ExceptionHandler'];

/** Warnings and errors go to standard error, a line each; standard output is the command's. */
export class CommandLogger implements LoggerService {
  log(): void {
    // What happens as expected is what the command prints.
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.tell('warning', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.tell('error', message, rest);
  }

  private tell(level: string, message: unknown, rest: readonly unknown[]): void {
    if (!UNTOLD_CONTEXTS.includes(String(rest.at(-1)))) {
      process.stderr.write(`${level}: ${String(message).split('\n')[0]}\n`);
    }
  }
}
