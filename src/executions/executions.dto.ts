import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import type { Duration } from '../config/duration.js';
import { rfc3339OrNull } from '../database/moments.js';
import { IsDurationInQuery } from '../http/duration.validator.js';
import { ForeignId, OptionalForeignId } from '../http/foreign-id.js';
import { IsOneOf, IsSwitchInQuery, IsText, MayBeLeftOut } from '../http/input.validators.js';
import { PageDto, PageQuery } from '../http/page.dto.js';
import type { ExecutionRow } from './executions.repository.js';
import { ProjectParams } from './project.params.js';
import { ToolApprovalDto, toolApprovalIn } from './tool-approval.js';

export const EXECUTION_STATUSES = ['running', 'suspended', 'completed', 'failed'] as const;
export type ExecutionStatus = (typeof EXECUTION_STATUSES)[number];

export class ListExecutionsQuery extends PageQuery {
  @OptionalForeignId({ description: 'Executions of this tenant alone' })
  tenantId?: string;

  @OptionalForeignId({
    description:
      'The executions with this id: several projects, and several tenants, can each have one. Of every status unless ' +
      '`status` is given, in the order of tenant and project',
    example: 'exec_p9s0',
  })
  id?: string;

  @OptionalForeignId()
  projectId?: string;

  @OptionalForeignId()
  agentId?: string;

  @OptionalForeignId({ description: 'Executions of the conversation with this id' })
  conversationId?: string;

  @OptionalForeignId({
    description:
      "Executions whose conversation belongs to this end user: `user_id` in the host's table `conversations`. 503 with " +
      'the code `conversations_unreadable` if Lapse may not read that table, or there is none',
    example: 'user_m3k1',
  })
  userId?: string;

  @ApiPropertyOptional({
    minLength: 1,
    maxLength: 1000,
    description: 'Executions that wait, or waited, for the approval of this tool',
    example: 'issue_refund',
  })
  @MayBeLeftOut()
  @IsText(1000)
  toolName?: string;

  @ApiPropertyOptional({
    enum: EXECUTION_STATUSES,
    description:
      '`suspended` where left out, unless `id` is given. Suspended ones come in the order of their suspension, oldest ' +
      'first; others in the order of their keys',
  })
  @MayBeLeftOut()
  @IsOneOf(EXECUTION_STATUSES)
  status?: ExecutionStatus;

  @ApiPropertyOptional({
    type: Boolean,
    description: 'Of the suspended ones, those that are overdue, or those that are not yet',
  })
  @MayBeLeftOut()
  @IsSwitchInQuery()
  overdue?: boolean;

  @IsDurationInQuery({
    description: 'Of the suspended ones, those that have been suspended for longer than this',
    example: '2h',
  })
  waitingLongerThan?: Duration;
}

export class ExecutionParams extends ProjectParams {
  @ForeignId({ example: 'exec_p9s0' })
  executionId!: string;
}

@ApiSchema({ name: 'Execution' })
export class ExecutionDto {
  @ApiProperty({ example: 'acme' }) tenantId!: string;
  @ApiProperty({ example: 'support' }) projectId!: string;
  @ApiProperty({ example: 'exec_p9s0' }) id!: string;
  @ApiProperty({ type: String, nullable: true, example: 'refund-agent' }) agentId!: string | null;
  @ApiProperty({ type: String, nullable: true, example: 'conv_x4b2' }) conversationId!: string | null;
  @ApiProperty({ type: String, nullable: true }) requestId!: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'As the host writes it', example: 'suspended' })
  status!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: 'Null where it is not suspended' })
  suspendedSince!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: 'Overdue from that very instant on' })
  deadline!: string | null;
  @ApiProperty() overdue!: boolean;
  @ApiProperty({
    type: ToolApprovalDto,
    nullable: true,
    description: 'What it waits or waited for; null where the host does not say it in a form that can be understood',
  })
  pendingToolApproval!: ToolApprovalDto | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) createdAt!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) updatedAt!: string | null;

  static from({ approval, position: _position, ...row }: ExecutionRow): ExecutionDto {
    return {
      ...row,
      suspendedSince: rfc3339OrNull(row.suspendedSince),
      deadline: rfc3339OrNull(row.deadline),
      pendingToolApproval: approval && toolApprovalIn(approval),
      createdAt: rfc3339OrNull(row.createdAt),
      updatedAt: rfc3339OrNull(row.updatedAt),
    };
  }
}

@ApiSchema({ name: 'ExecutionPage' })
export class ExecutionPageDto extends PageDto {
  @ApiProperty({ type: [ExecutionDto] })
  items!: ExecutionDto[];
}
