import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsText, IsWholeNumberInQuery, MayBeLeftOut } from './input.validators.js';

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

  @ApiPropertyOptional({ minLength: 1, maxLength: 2000, description: 'The `nextCursor` of the page before' })
  @MayBeLeftOut()
  @IsText(2000)
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
