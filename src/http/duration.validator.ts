import { applyDecorators } from '@nestjs/common';
import { ApiPropertyOptional } from '@nestjs/swagger';
import { ValidateBy } from 'class-validator';
import { type Duration, MAX_TIMEOUT, MIN_TIMEOUT, wholeSeconds, wholeSecondsAllowed } from '../config/duration.js';
import { MayBeLeftOut } from './input.validators.js';

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
        validate: (value: unknown) =>
          typeof value === 'string' && wholeSeconds(value, MIN_TIMEOUT, MAX_TIMEOUT) !== undefined,
        defaultMessage: (found) =>
          `must be ${wholeSecondsAllowed(MIN_TIMEOUT, MAX_TIMEOUT)}, not ${JSON.stringify(found?.value)?.slice(0, 60)}`,
      },
    }),
  );
