import { DatabaseUnreachableError, messageOf } from '../database/database.errors.js';
import { ProblemError } from '../http/problem.error.js';
import { printable } from './output.js';

const MOST_LINES = 40;

/** What a person is told of an error: words, never a stack. */
export function textOf(error: unknown): string {
  const text = operatorDetailOf(error) ?? messageOf(error) + hintOn(error);
  return text.split('\n').slice(0, MOST_LINES).map(printable).join('\n');
}

/** Whoever runs a command is an operator. */
function operatorDetailOf(error: unknown): string | undefined {
  return error instanceof ProblemError ? error.operatorDetail : undefined;
}

function hintOn(error: unknown): string {
  if (error instanceof DatabaseUnreachableError) {
    return `; start it, or check ${error.variable} ("lapse doctor" looks closer)`;
  }
  // Over HTTP the cause of a 503 goes to the log; here whoever reads it is the operator.
  const { cause } = error as { cause?: unknown };
  return error instanceof ProblemError && error.status >= 500 && cause !== undefined ? ` (${messageOf(cause)})` : '';
}
