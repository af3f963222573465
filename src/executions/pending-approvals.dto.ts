import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import { ForeignId } from '../http/foreign-id.js';
import { ProjectParams } from './project.params.js';
import { PendingToolCallDto } from './tool-approval.js';

export class ConversationParams extends ProjectParams {
  @ForeignId({ example: 'conv_x4b2' })
  conversationId!: string;
}

@ApiSchema({ name: 'Approval' })
export class ApprovalDto extends PendingToolCallDto {
  @ApiProperty({ example: 'exec_p9s0' }) executionId!: string;
  @ApiProperty({ format: 'date-time' }) suspendedSince!: string;
  @ApiProperty({ format: 'date-time', description: 'From then on it counts as not approved' }) deadline!: string;
}

@ApiSchema({ name: 'PendingApproval' })
export class PendingApprovalDto {
  @ApiProperty() hasPending!: boolean;
  @ApiPropertyOptional({ type: ApprovalDto, description: 'Where `hasPending` is true' }) approval?: ApprovalDto;
}
