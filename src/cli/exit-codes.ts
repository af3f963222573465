/** What the program ends with, for scripts to branch on. A signal ends it with 129 (SIGHUP), 130 (SIGINT) or 143 (SIGTERM). */
export const EXIT = {
  done: 0,
  /** Also whatever is unforeseen. */
  failed: 1,
  wrongUsage: 2,
  /** Another sweep of the same scope is running. */
  busy: 3,
  /** Some executions could not be timed out. */
  partial: 4,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** As a shell counts a process that a signal ended. */
export const EXIT_ON = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

export const EXIT_CODES_HELP = `
Exit codes:
  0    done
  1    something failed: no database, a fault of the configuration, a sweep that failed, was cancelled or interrupted
  2    wrong usage or input; nothing was touched
  3    another sweep of the same scope is running
  4    the sweep is partial: some executions could not be timed out
  130  interrupted by Ctrl-C (SIGINT), 143 by SIGTERM, 129 because its terminal was closed (SIGHUP)`;
