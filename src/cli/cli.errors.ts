import { EXIT, type ExitCode } from './exit-codes.js';

/** A command ends with another code than 1; what was wrong is the message, a line for each fault. */
export class CommandFailedError extends Error {
  constructor(
    message: string,
    readonly exitCode: ExitCode,
    cause?: unknown,
  ) {
    super(message, { cause });
    this.name = new.target.name;
  }
}

/** What was given on the command line can't be used; names every option at fault, and what is allowed. */
export class OptionsInvalidError extends CommandFailedError {
  constructor(readonly faults: readonly string[]) {
    super(faults.join('\n'), EXIT.wrongUsage);
  }
}

/** A signal came before there was anything to stop; the process ends with that signal's code. */
export class CommandInterruptedError extends Error {
  constructor(readonly signal: NodeJS.Signals) {
    super(`Interrupted by ${signal}`);
    this.name = 'CommandInterruptedError';
  }
}
