import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsText, IsWholeNumberInQuery, MayBeLeftOut } from './input.validators.js';

/** Room for the longest sort key: three ids of 256 characters, each as JSON may escape it, in base64. */
const LONGEST_CURSOR = 10_000;

/** What every list takes. */
export class PageQuery {
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: 500,
    default: 50,
    description: 'How many items at most',
  })
  @MayBeLeftOut()
  @IsWholeNumberInQuery(1, 500)
  limit = 50;

  @ApiPropertyOptional({ minLength: 1, maxLength: LONGEST_CURSOR, description: 'The `nextCursor` of the page before' })
  @MayBeLeftOut()
  @IsText(LONGEST_CURSOR)
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
