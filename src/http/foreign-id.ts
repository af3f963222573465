import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsText, MAX_ID_CHARACTERS, MayBeLeftOut } from './input.validators.js';

/** What the document says of an id, besides its length. */
interface Description {
  description?: string;
  example?: string;
}

/** An id that another service gave: any text of 1 to 256 characters, slashes and dots included. */
export const ForeignId = (described: Description = {}) =>
  applyDecorators(ApiProperty({ minLength: 1, maxLength: MAX_ID_CHARACTERS, ...described }), IsText(MAX_ID_CHARACTERS));

/** The same, where it narrows something and may be left out. */
export const OptionalForeignId = (described: Description = {}) =>
  applyDecorators(
    ApiPropertyOptional({ minLength: 1, maxLength: MAX_ID_CHARACTERS, ...described }),
    MayBeLeftOut(),
    IsText(MAX_ID_CHARACTERS),
  );
