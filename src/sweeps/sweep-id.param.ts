import { ApiProperty } from '@nestjs/swagger';
import { IsUUID } from 'class-validator';

/** The sweep that a path names. */
export class SweepIdParam {
  @ApiProperty({ format: 'uuid' })
  @IsUUID(undefined, { message: 'must be the id of a sweep, a UUID' })
  sweepId!: string;
}
