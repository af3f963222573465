import type { ClassConstructor } from 'class-transformer';
import { formatDuration, milliseconds, parseDuration } from '../config/duration.js';
import { InputPipe } from '../http/input.pipe.js';
import { type InputFault, InvalidInputError } from '../http/problem.error.js';
import { OptionsInvalidError } from './cli.errors.js';

/** What LAPSE_APPROVAL_TIMEOUT may be, and what the API takes in seconds. */
const SHORTEST_MS = milliseconds('1s');
const LONGEST_MS = milliseconds('3650d');

/**
 * Checks what was given by the rules of the API's own DTO.
 *
 * @param names what each field is called on the command line.
 * @throws OptionsInvalidError with every fault at once.
 */
export async function checked<T extends object>(
  type: ClassConstructor<T>,
  fields: { [K in keyof T]?: unknown },
  names: Partial<Record<keyof T & string, string>>,
): Promise<T> {
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  try {
    return (await new InputPipe().transform(given, { type: 'body', metatype: type })) as T;
  } catch (error) {
    if (error instanceof InvalidInputError) {
      throw new OptionsInvalidError((error.errors ?? []).map((fault) => faultText(fault, given, names)));
    }
    throw error;
  }
}

/** A number where the text is one; any other text as it is, for the check to quote. */
export function numberIn(text: string | undefined): number | string | undefined {
  return text !== undefined && /^-?\d{1,15}$/.test(text) ? Number(text) : text;
}

/**
 * Whole seconds of a duration, undefined where it is left out.
 *
 * @throws OptionsInvalidError
 */
export function secondsIn(option: string, text: string | undefined): number | undefined {
  if (text === undefined) {
    return undefined;
  }
  const ms = parseDuration(text);
  if (ms === undefined || ms % 1000 !== 0 || ms < SHORTEST_MS || ms > LONGEST_MS) {
    const allowed = `from ${formatDuration(SHORTEST_MS)} to ${formatDuration(LONGEST_MS)}, such as 90s, 30m or 2h`;
    throw new OptionsInvalidError([
      `${option} must be a duration of whole seconds ${allowed}, not ${JSON.stringify(text)}`,
    ]);
  }
  return ms / 1000;
}

function faultText({ path, message }: InputFault, given: object, names: Readonly<Record<string, string | undefined>>) {
  const field = path.replace(/^body\./, '');
  const name = names[field] ?? field;
  return field in given ? `${name} ${message}` : `${name} is missing; it ${message.replace(/, not undefined$/, '')}`;
}
