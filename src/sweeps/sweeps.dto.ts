import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import { IsBoolean, IsIn } from 'class-validator';
import { OptionalForeignId } from '../http/foreign-id.js';
import { IsText, IsWholeNumber, IsWholeNumberInQuery, MayBeLeftOut } from '../http/input.validators.js';
import { PageDto, PageQuery } from '../http/page.dto.js';
import { SWEEP_STATUSES, type SweepEntity, type SweepStatus, TRIGGERS, type Trigger } from './sweep.entity.js';

/** Ten years: far beyond any timeout, and far from what a timestamp can't hold. */
const LONGEST_TIMEOUT_SECONDS = 315_360_000;
const LARGEST_LIMIT = 2_147_483_647;

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
    maximum: LARGEST_LIMIT,
    description: 'At most so many executions, oldest first; all where left out',
    example: 1000,
  })
  @MayBeLeftOut()
  @IsWholeNumber(1, LARGEST_LIMIT)
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

export class WaitQuery {
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 0,
    maximum: 60,
    default: 10,
    description: 'Seconds to wait for the end of the sweep',
  })
  @MayBeLeftOut()
  @IsWholeNumberInQuery(0, 60)
  wait = 10;
}

export class ListSweepsQuery extends PageQuery {
  @ApiPropertyOptional({ enum: TRIGGERS })
  @MayBeLeftOut()
  @IsIn(TRIGGERS, { message: `must be one of ${TRIGGERS.join(', ')}` })
  trigger?: Trigger;

  @ApiPropertyOptional({ enum: SWEEP_STATUSES })
  @MayBeLeftOut()
  @IsIn(SWEEP_STATUSES, { message: `must be one of ${SWEEP_STATUSES.join(', ')}` })
  status?: SweepStatus;

  @OptionalForeignId({ description: 'Sweeps of this tenant alone' })
  tenantId?: string;
}

@ApiSchema({ name: 'SweepScope' })
export class SweepScopeDto {
  @ApiProperty({ type: String, nullable: true, description: 'Null: the whole platform' }) tenantId!: string | null;
  @ApiProperty({ type: String, nullable: true }) projectId!: string | null;
  @ApiProperty({ type: String, nullable: true }) agentId!: string | null;
}

@ApiSchema({ name: 'SweepCounts' })
export class SweepCountsDto {
  @ApiProperty({ type: 'integer', description: 'Timed out; in a dry run, what would be', example: 12 })
  timedOut!: number;
  @ApiProperty({ type: 'integer', description: 'Somebody else was quicker', example: 0 }) skipped!: number;
  @ApiProperty({ type: 'integer', description: 'Could not be timed out; GET /v1/failures has the reasons', example: 0 })
  failed!: number;
  @ApiProperty({ type: 'integer', example: 12 }) total!: number;
}

@ApiSchema({ name: 'Sweep' })
export class SweepDto {
  @ApiProperty({ format: 'uuid' }) id!: string;
  @ApiProperty({ enum: TRIGGERS }) trigger!: Trigger;
  @ApiProperty({ type: SweepScopeDto }) scope!: SweepScopeDto;
  @ApiProperty({ enum: SWEEP_STATUSES, description: '`partial`: some executions failed' }) status!: SweepStatus;
  @ApiProperty() dryRun!: boolean;
  @ApiProperty({ type: 'integer', example: 1800 }) timeoutSeconds!: number;
  @ApiProperty({ type: 'integer', nullable: true }) limit!: number | null;
  @ApiProperty({ type: String, nullable: true }) reason!: string | null;
  @ApiProperty({ description: 'The principal; `schedule` for the in-process schedule', example: 'admin-key' })
  requestedBy!: string;
  @ApiProperty({ type: SweepCountsDto }) counts!: SweepCountsDto;
  @ApiProperty({ format: 'date-time', description: 'What was overdue at this moment of the database clock' })
  cutoff!: string;
  @ApiProperty({ format: 'date-time' }) startedAt!: string;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) finishedAt!: string | null;
  @ApiProperty({ type: 'integer', nullable: true }) durationMs!: number | null;
  @ApiProperty({ type: String, nullable: true }) error!: string | null;

  static from(sweep: SweepEntity): SweepDto {
    const { tenantId, projectId, agentId, timedOut, skipped, failed, startedAt, finishedAt } = sweep;
    return {
      id: sweep.id,
      trigger: sweep.trigger,
      scope: { tenantId, projectId, agentId },
      status: sweep.status,
      dryRun: sweep.dryRun,
      timeoutSeconds: sweep.timeoutSeconds,
      limit: sweep.limit,
      reason: sweep.reason,
      requestedBy: sweep.requestedBy,
      counts: { timedOut, skipped, failed, total: timedOut + skipped + failed },
      cutoff: sweep.cutoff.toISOString(),
      startedAt: startedAt.toISOString(),
      finishedAt: finishedAt?.toISOString() ?? null,
      durationMs: finishedAt ? finishedAt.getTime() - startedAt.getTime() : null,
      error: sweep.error,
    };
  }
}

@ApiSchema({ name: 'SweepPage' })
export class SweepPageDto extends PageDto {
  @ApiProperty({ type: [SweepDto] })
  items!: SweepDto[];
}
