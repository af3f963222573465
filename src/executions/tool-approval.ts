import { ApiProperty, ApiSchema } from '@nestjs/swagger';

const ANY_JSON = [
  { type: 'object', additionalProperties: true },
  { type: 'array', items: {} },
  { type: 'string' },
  { type: 'number' },
  { type: 'boolean' },
  { type: 'null' },
];

/** What an execution waits for, as far as the host says it in a form that can be understood. */
@ApiSchema({ name: 'ToolApproval' })
export class ToolApprovalDto {
  @ApiProperty({ example: 'call_7d1f' }) toolCallId!: string;
  @ApiProperty({ example: 'issue_refund' }) toolName!: string;
  @ApiProperty({
    description: 'As the agent wants to call the tool: any JSON',
    oneOf: ANY_JSON,
    example: { amount: 12.5 },
  })
  args!: unknown;
  @ApiProperty({ description: 'Whether another agent asked for it on behalf of this one' }) isDelegated!: boolean;
}

/** Reads `metadata.pendingToolApproval` as the host keeps it, which may be anything; undefined where it says nothing. */
export function toolApprovalIn(pending: unknown): ToolApprovalDto | undefined {
  const { toolCallId, toolName, args = null, isDelegated = false } = (pending ?? {}) as Record<string, unknown>;
  return typeof toolCallId === 'string' && typeof toolName === 'string' && typeof isDelegated === 'boolean'
    ? { toolCallId, toolName, args, isDelegated }
    : undefined;
}
