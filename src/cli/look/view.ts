import { setTimeout as delay } from 'node:timers/promises';
import type { CommandRun } from '../command-run.js';
import { EXIT, type ExitCode } from '../exit-codes.js';

/** Between the end of one look and the next. */
const REFRESH_MS = 5_000;

const CLEAR_SCREEN = '\u001b[2J\u001b[H';

export const LOOK_EXIT_CODES = `
Exit codes:
  0    done, also if nothing was found
  1    something failed: no database, a fault of the configuration, a table that can't be read
  2    wrong usage or input
  130  interrupted by Ctrl-C (SIGINT), which also ends --watch; 143 by SIGTERM`;

export interface ViewOptions {
  json?: true;
  watch?: true;
}

/** What a command sees at one moment. */
export interface View {
  /** For programs; may hold `RawJson`. */
  document: object;
  /** For people. */
  text: string;
  exitCode: ExitCode;
}

/**
 * Prints what is seen, once or every few seconds. A watch ends with a signal, or if nobody reads its output any more. A
 * look that fails ends it only if it is the first: a database that restarts is what somebody may be watching.
 */
export async function show(
  run: CommandRun,
  command: string,
  { json, watch }: ViewOptions,
  look: () => Promise<View>,
): Promise<ExitCode> {
  const write = await writer(command, json === true, watch === true);
  const first = await look();
  write(first);
  if (!watch) {
    return first.exitCode;
  }
  const { textOf } = await import('../error-text.js');
  const ended = new AbortController();
  process.stdout.once('error', () => ended.abort());
  run.started({ stop: async () => ended.abort() });
  for (;;) {
    await delay(REFRESH_MS, undefined, { signal: ended.signal }).catch(() => undefined);
    const view = ended.signal.aborted ? undefined : await look().catch((error: unknown) => error);
    if (ended.signal.aborted) {
      return EXIT.done;
    }
    if (view instanceof Error) {
      process.stderr.write(`error: ${textOf(view)}\n`);
    } else {
      write(view as View);
    }
  }
}

/** A terminal is cleared before each look; a file or a pipe gets one after the other, as JSON a line for each. */
async function writer(command: string, json: boolean, watch: boolean): Promise<(view: View) => void> {
  const { stringify } = await import('../../http/raw-json.interceptor.js');
  if (json) {
    return ({ document }) => process.stdout.write(`${watch ? stringify(document) : stringify(document, 2)}\n`);
  }
  if (!watch) {
    return ({ text }) => process.stdout.write(`${text}\n`);
  }
  const before = process.stdout.isTTY ? CLEAR_SCREEN : '';
  return ({ text }) => {
    const now = `${new Date().toISOString().slice(0, 19)}Z`;
    process.stdout.write(
      `${before}lapse ${command} at ${now}, every ${REFRESH_MS / 1000} s; Ctrl-C ends it\n${text}\n\n`,
    );
  };
}
