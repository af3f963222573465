import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import { IsUUID } from 'class-validator';
import { IsText } from '../http/input.validators.js';
import { REOPEN_OUTCOMES, type ReopenOutcome } from './reopenings.repository.js';

export class ReopenBody {
  @ApiProperty({
    minLength: 1,
    maxLength: 1000,
    description: 'Why; kept with the timeout',
    example: 'The timeout was set to 3 minutes instead of 30',
  })
  @IsText(1000)
  reason!: string;
}

/** The timeout that a path names. */
export class TimeoutIdParam {
  @ApiProperty({ format: 'uuid' })
  @IsUUID(undefined, { message: 'must be the id of a timeout, a UUID' })
  timeoutId!: string;
}

@ApiSchema({ name: 'Reopening' })
export class ReopeningDto {
  @ApiProperty({ format: 'uuid' }) timeoutId!: string;
  @ApiProperty({
    enum: REOPEN_OUTCOMES,
    description:
      '`reopened`: suspended again, from now on. Otherwise nothing was changed: somebody has changed the execution ' +
      'since it was timed out, it is not there any more, or it had been reopened before',
    example: 'reopened',
  })
  outcome!: ReopenOutcome;
}
