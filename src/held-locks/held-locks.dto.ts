import { ApiProperty, ApiSchema } from '@nestjs/swagger';
import { rfc3339OrNull } from '../database/moments.js';
import { PageDto } from '../http/page.dto.js';
import type { LockHolder } from '../locks/lock-holder.js';

@ApiSchema({ name: 'HeldLock' })
export class HeldLockDto {
  @ApiProperty({ description: 'What is locked; beyond 200 characters cut', example: 'sweep' })
  name!: string;
  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    description:
      "Since when it is held, as far as PostgreSQL knows: a session's lock may be older; null if Lapse's role may not see it",
  })
  since!: string | null;
  @ApiProperty({
    description:
      "What the holder calls itself; one of Lapse's own says its machine, its process and what it holds; beyond 63 bytes cut",
    example: 'lapse lapse-7d9f8b6c5d-x2x4z/1 sweep',
  })
  applicationName!: string;
  @ApiProperty({
    type: String,
    nullable: true,
    description:
      "Where the holder's connection comes from: the pooler, if there is one; null for a Unix socket, or if Lapse's role may not see it",
    example: '10.0.3.17',
  })
  clientAddress!: string | null;
  @ApiProperty({
    type: 'integer',
    nullable: true,
    description: 'The process of the PostgreSQL server that keeps it; null for a prepared transaction',
    example: 4711,
  })
  pid!: number | null;

  static from(holder: LockHolder): HeldLockDto {
    return { ...holder, since: rfc3339OrNull(holder.since) };
  }
}

@ApiSchema({ name: 'HeldLockPage' })
export class HeldLockPageDto extends PageDto {
  @ApiProperty({ type: [HeldLockDto] })
  items!: HeldLockDto[];
}
