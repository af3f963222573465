import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import { RawJson } from '../http/raw-json.interceptor.js';
import type { StoredToolApproval } from './tool-approval.sql.js';

/** For the document: what `args` can be. */
export const ANY_JSON = [
  { type: 'object', additionalProperties: true },
  { type: 'array', items: {} },
  { type: 'string' },
  { type: 'number' },
  { type: 'boolean' },
  { type: 'null' },
];

/** A tool call that waits for approval, whole. */
export class PendingToolCallDto {
  @ApiProperty({ example: 'call_7d1f' }) toolCallId!: string;
  @ApiProperty({ example: 'issue_refund' }) toolName!: string;
  @ApiProperty({
    description:
      'As the agent wants to call the tool: any JSON, exactly as it is stored. Its numbers can be larger or finer than ' +
      'your JSON parser keeps',
    oneOf: ANY_JSON,
    example: { amount: 12.5 },
  })
  args!: RawJson | null;
  @ApiProperty({ description: 'Whether another agent asked for it on behalf of this one' }) isDelegated!: boolean;
}

/** What an execution waits for, as far as the host says it in a form that can be understood. */
@ApiSchema({
  name: 'ToolApproval',
  description:
    'A list cuts `toolCallId` and `toolName` after 1,000 characters and leaves out `args` of more than 16 KiB; the ' +
    'execution by itself has them whole',
})
export class ToolApprovalDto extends PendingToolCallDto {
  @ApiPropertyOptional({ enum: [true], description: 'Where `args` is null because it is too large for a list' })
  argsOmitted?: true;
  @ApiPropertyOptional({ type: 'integer', minimum: 1, description: 'The size of the `args` that were left out' })
  argsBytes?: number;
}

export function toolCallIn({ toolCallId, toolName, args, isDelegated }: StoredToolApproval): PendingToolCallDto {
  return { toolCallId, toolName, args: new RawJson(args ?? 'null'), isDelegated: isDelegated ?? false };
}

export function toolApprovalIn(stored: StoredToolApproval): ToolApprovalDto {
  const { args, argsBytes } = stored;
  const call = toolCallIn(stored);
  return args === null && argsBytes !== null ? { ...call, args: null, argsOmitted: true, argsBytes } : call;
}
