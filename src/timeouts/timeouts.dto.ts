import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import { rfc3339, rfc3339OrNull } from '../database/moments.js';
import { OptionalForeignId } from '../http/foreign-id.js';
import { IsMoment, IsNotBefore, IsSwitchInQuery, IsText, MayBeLeftOut } from '../http/input.validators.js';
import { PageDto, PageQuery } from '../http/page.dto.js';
import { REOPEN_OUTCOMES } from './reopenings.repository.js';
import type { TimeoutRow } from './timeouts.repository.js';

const UNDO_OUTCOMES = [...REOPEN_OUTCOMES, 'failed'] as const;

export class ListTimeoutsQuery extends PageQuery {
  @OptionalForeignId({ description: 'Timeouts of this tenant alone' })
  tenantId?: string;

  @OptionalForeignId()
  projectId?: string;

  @OptionalForeignId()
  agentId?: string;

  @OptionalForeignId({ description: 'Every time that this execution was timed out' })
  executionId?: string;

  @ApiPropertyOptional({
    type: Boolean,
    description: 'Executions that left `failed` after the timeout without being reopened, such as by a late approval',
  })
  @MayBeLeftOut()
  @IsSwitchInQuery()
  resurrected?: boolean;

  @ApiPropertyOptional({
    minLength: 1,
    maxLength: 1000,
    description: 'The tool that waited for approval, such as `issue_refund`',
  })
  @MayBeLeftOut()
  @IsText(1000)
  toolName?: string;

  @ApiPropertyOptional({
    format: 'date-time',
    description: 'Timed out at this time or later, such as 2026-11-22T00:00:00.000Z',
  })
  @MayBeLeftOut()
  @IsMoment()
  from?: string;

  @ApiPropertyOptional({
    format: 'date-time',
    description: 'Timed out before this time',
  })
  @MayBeLeftOut()
  @IsMoment()
  @IsNotBefore('from')
  to?: string;
}

@ApiSchema({ name: 'Timeout', description: 'A row of the ledger' })
export class TimeoutDto {
  @ApiProperty({ format: 'uuid' }) id!: string;
  @ApiProperty({ format: 'uuid' }) sweepId!: string;
  @ApiProperty({ example: 'acme' }) tenantId!: string;
  @ApiProperty({ example: 'support' }) projectId!: string;
  @ApiProperty({ example: 'exec_p9s0' }) executionId!: string;
  @ApiProperty({ type: String, nullable: true, example: 'refund-agent' }) agentId!: string | null;
  @ApiProperty({ type: String, nullable: true, example: 'conv_x4b2' }) conversationId!: string | null;
  @ApiProperty({ type: String, nullable: true, example: 'call_7d1f' }) toolCallId!: string | null;
  @ApiProperty({ type: String, nullable: true, example: 'issue_refund' }) toolName!: string | null;
  @ApiProperty({ format: 'date-time' }) suspendedSince!: string;
  @ApiProperty({ format: 'date-time' }) deadline!: string;
  @ApiProperty({ format: 'date-time' }) timedOutAt!: string;
  @ApiProperty({ type: String, nullable: true, example: 'api', description: 'Of the sweep; null for old rows' })
  trigger!: string | null;
  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    description: 'When it was seen to be failed no more',
  })
  resurrectedAt!: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'The status that was seen then' })
  resurrectedStatus!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) reopenedAt!: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'The principal' }) reopenedBy!: string | null;
  @ApiProperty({ type: String, nullable: true }) reopenReason!: string | null;
  @ApiProperty({
    type: String,
    format: 'uuid',
    nullable: true,
    description: 'The undo that reopened it, where one did',
  })
  undoId!: string | null;
  @ApiProperty({
    enum: [...UNDO_OUTCOMES, null],
    type: String,
    nullable: true,
    description: 'Among the timeouts of an undo: what became of it there; null elsewhere',
  })
  outcome!: (typeof UNDO_OUTCOMES)[number] | null;
  @ApiProperty({ type: String, nullable: true, description: 'Why an undo could not reopen it' })
  failure!: string | null;

  static from({ position: _position, ...row }: TimeoutRow): TimeoutDto {
    return {
      ...row,
      suspendedSince: rfc3339(row.suspendedSince),
      deadline: rfc3339(row.deadline),
      timedOutAt: rfc3339(row.timedOutAt),
      resurrectedAt: rfc3339OrNull(row.resurrectedAt),
      reopenedAt: rfc3339OrNull(row.reopenedAt),
    };
  }
}

@ApiSchema({ name: 'TimeoutPage' })
export class TimeoutPageDto extends PageDto {
  @ApiProperty({ type: [TimeoutDto] })
  items!: TimeoutDto[];
}
