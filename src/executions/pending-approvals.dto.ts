import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import { IsForeignId } from '../http/input.validators.js';

export class ConversationParams {
  @ApiProperty({ maxLength: 256, example: 'acme' })
  @IsForeignId()
  tenantId!: string;

  @ApiProperty({ maxLength: 256, example: 'support' })
  @IsForeignId()
  projectId!: string;

  @ApiProperty({ maxLength: 256, example: 'conv_x4b2' })
  @IsForeignId()
  conversationId!: string;
}

@ApiSchema({ name: 'Approval' })
export class ApprovalDto {
  @ApiProperty({ example: 'call_7d1f' }) toolCallId!: string;
  @ApiProperty({ example: 'issue_refund' }) toolName!: string;
  @ApiProperty({
    type: Object,
    nullable: true,
    description: 'As the agent wants to call it',
    example: { amount: 12.5 },
  })
  args!: unknown;
  @ApiProperty({ description: 'Whether another agent asked for it on behalf of this one' }) isDelegated!: boolean;
  @ApiProperty({ example: 'exec_p9s0' }) executionId!: string;
  @ApiProperty({ format: 'date-time' }) suspendedSince!: string;
  @ApiProperty({ format: 'date-time', description: 'From then on it counts as not approved' }) deadline!: string;
}

@ApiSchema({ name: 'PendingApproval' })
export class PendingApprovalDto {
  @ApiProperty() hasPending!: boolean;
  @ApiPropertyOptional({ type: ApprovalDto, description: 'Where `hasPending` is true' }) approval?: ApprovalDto;
}
