import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import { IsUUID } from 'class-validator';
import { rfc3339 } from '../database/moments.js';
import { OptionalForeignId } from '../http/foreign-id.js';
import { MayBeLeftOut } from '../http/input.validators.js';
import { PageDto, PageQuery } from '../http/page.dto.js';
import type { FailureEntity } from './failure.entity.js';

export class ListFailuresQuery extends PageQuery {
  @OptionalForeignId({ description: 'Failures of this tenant alone' })
  tenantId?: string;

  @OptionalForeignId()
  projectId?: string;

  @ApiPropertyOptional({ format: 'uuid', description: 'Executions that this sweep was the last one to try' })
  @MayBeLeftOut()
  @IsUUID(undefined, { message: 'must be the id of a sweep, a UUID' })
  sweepId?: string;
}

@ApiSchema({ name: 'Failure' })
export class FailureDto {
  @ApiProperty() tenantId!: string;
  @ApiProperty() projectId!: string;
  @ApiProperty() executionId!: string;
  @ApiProperty({ type: 'integer', example: 3 }) attempts!: number;
  @ApiProperty({ format: 'date-time' }) firstFailedAt!: string;
  @ApiProperty({ format: 'date-time' }) lastFailedAt!: string;
  @ApiProperty({
    format: 'date-time',
    description: 'No sweep touches it before; the pause doubles from 1 minute to 1 hour',
  })
  nextTryAt!: string;
  @ApiProperty({ description: "The database's own words", example: 'P0001: executions of this agent are frozen' })
  lastReason!: string;
  @ApiProperty({ format: 'uuid' }) lastSweepId!: string;

  static from(failure: FailureEntity): FailureDto {
    return {
      tenantId: failure.tenantId,
      projectId: failure.projectId,
      executionId: failure.executionId,
      attempts: failure.attempts,
      firstFailedAt: rfc3339(failure.firstFailedAt),
      lastFailedAt: rfc3339(failure.lastFailedAt),
      nextTryAt: rfc3339(failure.nextTryAt),
      lastReason: failure.lastReason,
      lastSweepId: failure.lastSweepId,
    };
  }
}

@ApiSchema({ name: 'FailurePage' })
export class FailurePageDto extends PageDto {
  @ApiProperty({ type: [FailureDto] })
  items!: FailureDto[];
}
