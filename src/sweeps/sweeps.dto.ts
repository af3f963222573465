import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import { IsBoolean } from 'class-validator';
import { MAX_TIMEOUT, milliseconds } from '../config/duration.js';
import { OptionalForeignId } from '../http/foreign-id.js';
import {
  IsMoment,
  IsNotBefore,
  IsOneOf,
  IsText,
  IsWholeNumber,
  IsWholeNumberInQuery,
  MayBeLeftOut,
} from '../http/input.validators.js';
import { PageDto, PageQuery } from '../http/page.dto.js';
import {
  SWEEP_KINDS,
  SWEEP_STATUSES,
  type SweepKind,
  type SweepStatus,
  TRIGGERS,
  type Trigger,
} from './sweep.entity.js';
import { SweepDto } from './sweep-answer.js';

/** Ten years: far beyond any timeout, and far from what a timestamp can't hold. */
const LONGEST_TIMEOUT_SECONDS = milliseconds(MAX_TIMEOUT) / 1000;
/** What an integer column of PostgreSQL holds. */
const LARGEST_COUNT = 2_147_483_647;

export class RequestSweepBody {
  @OptionalForeignId({ description: 'Only this tenant; a tenant-bound credential may leave it out', example: 'acme' })
  tenantId?: string;

  @OptionalForeignId({ description: 'Only this project', example: 'support' })
  projectId?: string;

  @OptionalForeignId({ description: 'Only executions of this agent', example: 'refund-agent' })
  agentId?: string;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: LONGEST_TIMEOUT_SECONDS,
    description: 'The timeout of this sweep; LAPSE_APPROVAL_TIMEOUT where left out',
    example: 1800,
  })
  @MayBeLeftOut()
  @IsWholeNumber(1, LONGEST_TIMEOUT_SECONDS)
  timeoutSeconds?: number;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: LARGEST_COUNT,
    description: 'At most so many executions, oldest first; all where left out',
    example: 1000,
  })
  @MayBeLeftOut()
  @IsWholeNumber(1, LARGEST_COUNT)
  limit?: number;

  @ApiPropertyOptional({
    description: 'Counts what would be timed out, and changes nothing; false where left out',
    example: true,
  })
  @MayBeLeftOut()
  @IsBoolean({ message: 'must be true or false' })
  dryRun?: boolean;

  @ApiPropertyOptional({
    minLength: 1,
    maxLength: 1000,
    description: 'Why; kept with the sweep',
    example: 'Cleaning up after the incident of Monday',
  })
  @MayBeLeftOut()
  @IsText(1000)
  reason?: string;
}

export class ListSweepsQuery extends PageQuery {
  @ApiPropertyOptional({ enum: TRIGGERS })
  @MayBeLeftOut()
  @IsOneOf(TRIGGERS)
  trigger?: Trigger;

  @ApiPropertyOptional({ enum: SWEEP_STATUSES })
  @MayBeLeftOut()
  @IsOneOf(SWEEP_STATUSES)
  status?: SweepStatus;

  @ApiPropertyOptional({ enum: SWEEP_KINDS })
  @MayBeLeftOut()
  @IsOneOf(SWEEP_KINDS)
  kind?: SweepKind;

  @ApiPropertyOptional({ format: 'date-time', description: 'Started at this time or later' })
  @MayBeLeftOut()
  @IsMoment()
  from?: string;

  @ApiPropertyOptional({ format: 'date-time', description: 'Started before this time' })
  @MayBeLeftOut()
  @IsMoment()
  @IsNotBefore('from')
  to?: string;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 0,
    maximum: LARGEST_COUNT,
    description: 'At least so many timed out; of a share, so many of the tenant',
  })
  @MayBeLeftOut()
  @IsWholeNumberInQuery(0, LARGEST_COUNT)
  minTimedOut?: number;

  @OptionalForeignId({ description: "Sweeps of this tenant, and its share of the platform's that touched it" })
  tenantId?: string;
}

@ApiSchema({ name: 'SweepPage' })
export class SweepPageDto extends PageDto {
  @ApiProperty({ type: [SweepDto] })
  items!: SweepDto[];
}
