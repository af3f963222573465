import { applyDecorators } from '@nestjs/common';
import { Transform } from 'class-transformer';
import { ValidateBy, ValidateIf, type ValidationArguments } from 'class-validator';
import { nearestName } from '../config/nearest-name.js';
import { parseRfc3339 } from '../database/moments.js';

/** For a field with a default. A null is a value, and checked: it would take the default's place. */
export const MayBeLeftOut = () => ValidateIf((_, value) => value !== undefined);

/** How long an id may be that another service gave, in characters as PostgreSQL counts them: Unicode code points. */
export const MAX_ID_CHARACTERS = 256;

/**
 * Whether a value is text that PostgreSQL can store as it came: of 1 to `longest` characters, without NUL or half a
 * surrogate pair. The one measure of the length of text, wherever it comes from.
 */
export function isText(value: unknown, longest: number): value is string {
  return (
    typeof value === 'string' &&
    value.length >= 1 &&
    countCharacters(value, longest) <= longest &&
    !value.includes('\0') &&
    value.isWellFormed()
  );
}

/** What `isText` accepts, for the message that refuses other input. */
export function textAllowed(longest: number): string {
  return `must be text of 1 to ${longest} characters without NUL`;
}

export const IsText = (longest: number) =>
  ValidateBy({
    name: 'isText',
    validator: {
      validate: (value: unknown) => isText(value, longest),
      defaultMessage: (found) => `${textAllowed(longest)}, not ${shown(found?.value)}`,
    },
  });

/** One of a few words. */
export const IsOneOf = (words: readonly string[]) =>
  ValidateBy({
    name: 'isOneOf',
    validator: {
      validate: (value: unknown) => typeof value === 'string' && words.includes(value),
      defaultMessage: (found) => {
        const nearest = typeof found?.value === 'string' ? nearestName(found.value, words) : undefined;
        const hint = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
        return `must be one of ${words.join(', ')}, not ${shown(found?.value)}${hint}`;
      },
    },
  });

/** A whole number in a JSON body: never text that looks like one. */
export const IsWholeNumber = (least: number, most: number) =>
  ValidateBy({
    name: 'isWholeNumber',
    validator: {
      validate: (value: unknown) => Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most,
      defaultMessage: (found) => `must be a whole number from ${least} to ${most}, not ${shown(found?.value)}`,
    },
  });

/** A whole number in a query string. */
export const IsWholeNumberInQuery = (least: number, most: number) =>
  applyDecorators(
    Transform(({ value }) => (typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value)),
    IsWholeNumber(least, most),
  );

/** A time as RFC 3339 writes it, for the database: see `parseRfc3339`. It arrives in UTC, to the microsecond. */
export const IsMoment = () =>
  applyDecorators(
    Transform(({ value }) => (typeof value === 'string' ? (parseRfc3339(value) ?? value) : value)),
    ValidateBy({
      name: 'isMoment',
      validator: {
        validate: (value: unknown) => typeof value === 'string' && parseRfc3339(value) !== undefined,
        defaultMessage: (found) =>
          'must be an RFC 3339 time from year 1 to 9999 with seconds and an offset of less than 16 hours, such as ' +
          `2026-11-22T08:30:00.000Z, not ${shown(found?.value)}${hintOf(found?.value)}`,
      },
    }),
  );

/** For the end of a filter's period, whose beginning is in the field `start`. A period without extent finds nothing. */
export const IsNotBefore = (start: string) =>
  isEndOf(start, 'isNotBefore', 'must not be before', (began, ended) => began <= ended);

/** The same for the period of an action, which must have an extent. */
export const IsLaterThan = (start: string) =>
  isEndOf(start, 'isLaterThan', 'must be later than', (began, ended) => began < ended);

/** Compares as `parseRfc3339` writes times: to the microsecond, in the order of the text. */
function isEndOf(start: string, name: string, rule: string, holds: (began: string, ended: string) => boolean) {
  return ValidateBy({
    name,
    constraints: [start],
    validator: {
      validate: (end: unknown, found) => {
        const began = parseRfc3339(String(startOf(found)));
        const ended = parseRfc3339(String(end));
        // What is no time is reported as such.
        return began === undefined || ended === undefined || holds(began, ended);
      },
      defaultMessage: (found) => `${rule} ${start}, which is ${startOf(found)}, but is ${shown(found?.value)}`,
    },
  });
}

function startOf(found: ValidationArguments | undefined): unknown {
  return (found?.object as Record<string, unknown> | undefined)?.[found?.constraints[0]];
}

/** In a query `+` means a space. */
function hintOf(value: unknown): string {
  const isUnescaped = typeof value === 'string' && parseRfc3339(value.replace(' ', '+')) !== undefined;
  return isUnescaped ? '; write the + of an offset as %2B in a query' : '';
}

/** `true` or `false` in a query string. */
export const IsSwitchInQuery = () =>
  applyDecorators(
    Transform(({ value }) => (value === 'true' ? true : value === 'false' ? false : value)),
    ValidateBy({
      name: 'isSwitch',
      validator: {
        validate: (value: unknown) => typeof value === 'boolean',
        defaultMessage: (found) => `must be true or false, not ${shown(found?.value)}`,
      },
    }),
  );

/** A character outside the basic plane is two of JavaScript's units. */
function countCharacters(text: string, longest: number): number {
  return text.length > 2 * longest ? text.length : [...text].length;
}

/** What came, short enough to be read in a sentence. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
