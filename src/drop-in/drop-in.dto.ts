import { STATUS_CODES } from 'node:http';
import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional, ApiResponse, ApiSchema } from '@nestjs/swagger';
import { PendingToolCallDto } from '../executions/tool-approval.js';
import { ForeignId, OptionalForeignId } from '../http/foreign-id.js';
import { IgnoresUnknownMembers } from '../http/input.pipe.js';
import { IsWholeNumber, MayBeLeftOut } from '../http/input.validators.js';

const MINUTES_OF_TEN_YEARS = 5_256_000;

@IgnoresUnknownMembers()
export class CleanupStaleBody {
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: MINUTES_OF_TEN_YEARS,
    description: 'LAPSE_APPROVAL_TIMEOUT if it is left out',
  })
  @MayBeLeftOut()
  @IsWholeNumber(1, MINUTES_OF_TEN_YEARS)
  timeoutMinutes?: number;

  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: 1000, description: '100 if it is left out' })
  @MayBeLeftOut()
  @IsWholeNumber(1, 1000)
  limit = 100;

  /** Read with the scope of the call. It is checked here, so that a malformed one does not clean up the platform. */
  @OptionalForeignId({ description: 'Only this tenant, as the headers narrow', example: 'acme' })
  tenantId?: string;
}

@ApiSchema({ name: 'CleanupStaleResult' })
export class CleanupStaleDto {
  @ApiProperty({ type: 'integer', example: 12 }) cleanedUp!: number;
  @ApiProperty({ type: 'integer', example: 0 }) failed!: number;
  @ApiProperty({ type: 'integer', example: 12 }) total!: number;
}

@ApiSchema({ name: 'CronCleanupStaleResult' })
export class CronCleanupStaleDto extends CleanupStaleDto {
  @ApiProperty({ enum: [true] }) ok!: true;
}

export class ConversationIdParam {
  @ForeignId({ example: 'conv_x4b2' })
  conversationId!: string;
}

export class PendingApprovalsQuery {
  @ForeignId({ example: 'support' })
  projectId!: string;
}

@ApiSchema({ name: 'DropInApproval' })
export class DropInApprovalDto extends PendingToolCallDto {
  @ApiProperty({ description: 'The id of the execution', example: 'exec_p9s0' }) workflowRunId!: string;
  @ApiProperty({ format: 'date-time', description: 'Since when it is suspended' }) updatedAt!: string;
}

@ApiSchema({ name: 'DropInPendingApproval' })
export class DropInPendingApprovalDto {
  @ApiProperty() hasPending!: boolean;
  @ApiPropertyOptional({ type: DropInApprovalDto }) approval?: DropInApprovalDto;
}

@ApiSchema({ name: 'DropInError' })
export class DropInErrorDto {
  @ApiProperty({ example: 'body.limit: must be a whole number from 1 to 1000, not 0' }) error!: string;
}

/** Documents errors that a drop-in route answers. */
export const DropInErrors = (...statuses: number[]) =>
  applyDecorators(
    ...statuses.map((status) =>
      ApiResponse({ status, type: DropInErrorDto, description: STATUS_CODES[status] as string }),
    ),
  );
