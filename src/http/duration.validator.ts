import { applyDecorators } from '@nestjs/common';
import { ApiPropertyOptional } from '@nestjs/swagger';
import { ValidateBy } from 'class-validator';
import { type Duration, milliseconds, parseDuration } from '../config/duration.js';
import { MayBeLeftOut } from './input.validators.js';

/** What a timeout may be, too. */
const MIN: Duration = '1s';
const MAX: Duration = '3650d';

/** For the document: whatever it matches is allowed. */
const PATTERN = '^([1-9][0-9]{0,7}s|[1-9][0-9]{0,5}m|[1-9][0-9]{0,3}h|[1-9][0-9]{0,2}d)$';

/** A duration of whole seconds in a query string, written as in the configuration; it may be left out. */
export const IsDurationInQuery = (described: { description: string; example: Duration }) =>
  applyDecorators(
    ApiPropertyOptional({ type: String, pattern: PATTERN, ...described }),
    MayBeLeftOut(),
    ValidateBy({
      name: 'isDuration',
      validator: {
        validate: (value: unknown) => typeof value === 'string' && isAllowed(parseDuration(value)),
        defaultMessage: (found) =>
          `must be a duration of whole seconds from ${MIN} to ${MAX}, such as 90s, 30m or 2h, not ${JSON.stringify(found?.value)?.slice(0, 60)}`,
      },
    }),
  );

function isAllowed(ms: number | undefined): boolean {
  return ms !== undefined && ms % 1000 === 0 && ms >= milliseconds(MIN) && ms <= milliseconds(MAX);
}
