import { applyDecorators } from '@nestjs/common';
import { Transform } from 'class-transformer';
import { ValidateBy, ValidateIf } from 'class-validator';

/** For a field with a default. A null is a value, and checked: it would take the default's place. */
export const MayBeLeftOut = () => ValidateIf((_, value) => value !== undefined);

/** Text that PostgreSQL can store as it came: of 1 to `longest` characters as it counts them, without NUL or half a surrogate pair. */
export const IsText = (longest: number) =>
  ValidateBy({
    name: 'isText',
    validator: {
      validate: (value: unknown) =>
        typeof value === 'string' &&
        value.length >= 1 &&
        countCharacters(value, longest) <= longest &&
        !value.includes('\0') &&
        value.isWellFormed(),
      defaultMessage: (found) => `must be text of 1 to ${longest} characters without NUL, not ${shown(found?.value)}`,
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

/** A moment with its zone: without one, whose clock is meant would be a guess. */
export const IsMoment = () =>
  ValidateBy({
    name: 'isMoment',
    validator: {
      validate: (value: unknown) => typeof value === 'string' && MOMENT.test(value) && !Number.isNaN(Date.parse(value)),
      defaultMessage: (found) =>
        `must be a time with its zone, such as 2026-11-22T08:30:00.000Z, not ${shown(found?.value)}`,
    },
  });

/** PostgreSQL knows no year 0, and no zone that is sixteen hours away. */
const MOMENT = /^(?!0000)\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-](0\d|1[0-5]):\d{2})$/;

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
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
