import { setTimeout as delay } from 'node:timers/promises';
import { onLauncherEnd } from '../launcher-watch.js';
import { CommandFailedError, CommandInterruptedError } from './cli.errors.js';
import { EXIT, EXIT_ON, type ExitCode } from './exit-codes.js';

/** What a stop may take altogether; as long as the service gives itself. */
const STOP_WITHIN_MS = 4_500;
/** For what the command still has to say once everything is stopped. */
const LAST_WORDS_WITHIN_MS = 500;

/** Takes what has been started, to stop it in the end. */
export interface PartsToStop {
  /** @throws CommandInterruptedError if nothing more is to be begun */
  started(part: Part): void;
}

interface Part {
  stop(): Promise<unknown>;
}

/** One command on its way to the end of the process. */
export class CommandRun implements PartsToStop {
  private readonly parts: Part[] = [];
  private stopping = Promise.resolve();
  private interruptedBy: keyof typeof EXIT_ON | undefined;

  private constructor() {
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => void this.interrupt(signal));
    }
    onLauncherEnd(() => void this.interrupt('SIGTERM'));
    process.stdout.on('error', endOfReader);
    process.stderr.on('error', endOfReader);
  }

  /**
   * Does the work, stops what it has started, and ends the process. A signal stops what was started at once, which ends
   * a sweep after its batch; the work then still tells what has become of it.
   *
   * @param work answers with the exit code.
   */
  static async toExit(work: (run: CommandRun) => Promise<ExitCode>): Promise<void> {
    const run = new CommandRun();
    const code = await work(run).catch((error: unknown) => run.fail(error));
    await run.stopAll();
    process.exit(run.interruptedBy ? EXIT_ON[run.interruptedBy] : code);
  }

  /**
   * Is to be stopped in the end, last started first.
   *
   * @throws CommandInterruptedError where a signal came while it was starting: then nothing more is to be begun.
   */
  started(part: Part): void {
    this.parts.push(part);
    if (this.interruptedBy) {
      throw new CommandInterruptedError(this.interruptedBy);
    }
  }

  private async fail(error: unknown): Promise<ExitCode> {
    if (this.interruptedBy) {
      process.stderr.write(`${new CommandInterruptedError(this.interruptedBy).message}\n`);
    } else {
      const { textOf } = await import('./error-text.js');
      process.stderr.write(`${textOf(error).replace(/^/gm, 'error: ')}\n`);
    }
    return error instanceof CommandFailedError ? error.exitCode : EXIT.failed;
  }

  private async interrupt(signal: keyof typeof EXIT_ON): Promise<void> {
    if (this.interruptedBy) {
      return;
    }
    this.interruptedBy = signal;
    await this.stopAll();
    await delay(LAST_WORDS_WITHIN_MS);
    // What was just starting when the signal came is stopped once it is up.
    await this.stopAll();
    process.exit(EXIT_ON[signal]);
  }

  /** What has been started meanwhile too. */
  private stopAll(): Promise<void> {
    this.stopping = this.stopping.then(() => this.stopParts());
    return this.stopping;
  }

  private async stopParts(): Promise<void> {
    const code = this.interruptedBy ? EXIT_ON[this.interruptedBy] : EXIT.failed;
    setTimeout(() => process.exit(code), STOP_WITHIN_MS).unref();
    for (const part of this.parts.splice(0).reverse()) {
      await part.stop().catch((error: Error) => process.stderr.write(`warning: ${error.message}\n`));
    }
  }
}

/** Whoever read our output has read enough, as `head` does, or has closed the terminal: the command didn't fail by that. */
function endOfReader(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE' && error.code !== 'EIO') {
    throw error;
  }
}
