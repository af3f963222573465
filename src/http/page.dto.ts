import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsText, IsWholeNumberInQuery, MayBeLeftOut } from './input.validators.js';

/**
 * Room for the longest sort key. A key lies in an index, where PostgreSQL allows 2,704 bytes after its compression; a
 * cursor is compressed better than that, and base64 makes it a third longer.
 */
const MAX_CURSOR_CHARACTERS = 10_000;

/** Items of a page whose query has no `limit`. */
export const DEFAULT_LIMIT = 50;

/** What every list takes. */
export class PageQuery {
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: 500,
    default: DEFAULT_LIMIT,
    description: 'Maximum number of items; without it, CSV has all items',
  })
  @MayBeLeftOut()
  @IsWholeNumberInQuery(1, 500)
  limit?: number;

  @ApiPropertyOptional({
    minLength: 1,
    maxLength: MAX_CURSOR_CHARACTERS,
    description: 'The `nextCursor` of the page before',
  })
  @MayBeLeftOut()
  @IsText(MAX_CURSOR_CHARACTERS)
  cursor?: string;
}

/** One page of a list. */
export interface Page<T> {
  items: T[];
  /** Null on the last page. */
  nextCursor: string | null;
}

/** The OpenAPI schema of a page cannot be generic: each list names its own items and extends this. */
export class PageDto {
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Ask for the next page with it; null on the last page',
    example: null,
  })
  nextCursor!: string | null;
}
