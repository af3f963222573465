import type { ClassConstructor } from 'class-transformer';
import { MAX_TIMEOUT, MIN_TIMEOUT, wholeSeconds, wholeSecondsAllowed } from '../config/duration.js';
import { InputPipe } from '../http/input.pipe.js';
import { type InputFault, InvalidInputError } from '../http/problem.error.js';
import { OptionsInvalidError } from './cli.errors.js';

/** As LAPSE_APPROVAL_TIMEOUT is written; the API takes seconds. */
export const DURATION_ALLOWED = wholeSecondsAllowed(MIN_TIMEOUT, MAX_TIMEOUT);

type Words<T> = Partial<Record<keyof T & string, string>>;

/**
 * Checks what was given by the rules of the API's own DTO.
 *
 * @param names what each field is called on the command line.
 * @param allowed what a field may be, where the command line writes it otherwise than the API; completes "must be …".
 * @throws OptionsInvalidError with every fault at once.
 */
export async function checked<T extends object>(
  type: ClassConstructor<T>,
  fields: { [K in keyof T]?: unknown },
  names: Words<T>,
  allowed: Words<T> = {},
): Promise<T> {
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  return new InputPipe()
    .transform(given, { type: 'body', metatype: type })
    .catch((error) => throwWithOptionNames(error, given, names, allowed)) as Promise<T>;
}

/**
 * For what only the service can find wrong, such as two filters that exclude each other: its errors name the options
 * instead of the fields of the API.
 *
 * @param given the values of the fields.
 * @throws OptionsInvalidError for input that was refused; any other error as it is.
 */
export function throwWithOptionNames(
  error: unknown,
  given: object,
  names: Readonly<Record<string, string | undefined>>,
  allowed: Readonly<Record<string, string | undefined>> = {},
): never {
  if (!(error instanceof InvalidInputError)) {
    throw error;
  }
  throw new OptionsInvalidError((error.errors ?? []).map((fault) => faultText(fault, { ...given }, names, allowed)));
}

/** A number where the text is one; any other text as it is, for the check to quote. */
export function numberIn(text: string | undefined): number | string | undefined {
  return text !== undefined && /^-?\d{1,15}$/.test(text) ? Number(text) : text;
}

/** Whole seconds where the text is a duration that is allowed; any other text as it is, for the check to refuse. */
export function secondsIn(text: string | undefined): number | string | undefined {
  return wholeSeconds(text ?? '', MIN_TIMEOUT, MAX_TIMEOUT) ?? text;
}

function faultText(
  { path, message }: InputFault,
  given: Readonly<Record<string, unknown>>,
  names: Readonly<Record<string, string | undefined>>,
  allowed: Readonly<Record<string, string | undefined>>,
): string {
  const field = path.replace(/^(body|query)\./, '');
  const name = names[field] ?? field;
  return field in given && allowed[field] !== undefined
    ? `${name} must be ${allowed[field]}, not ${JSON.stringify(given[field])}`
    : `${name} ${message}`;
}
