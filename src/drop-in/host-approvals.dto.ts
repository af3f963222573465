import { STATUS_CODES } from 'node:http';
import { applyDecorators } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiProperty,
  ApiPropertyOptional,
  ApiResponse,
  ApiSchema,
  getSchemaPath,
} from '@nestjs/swagger';
import { ANY_JSON } from '../executions/tool-approval.js';

@ApiSchema({ name: 'HostApproval' })
export class HostApprovalDto {
  @ApiProperty({ example: 'call_7d1f' }) toolCallId!: string;
  @ApiProperty({ example: 'issue_refund' }) toolName!: string;
  @ApiPropertyOptional({
    description: 'Any JSON, exactly as it is stored; absent if the host stored none',
    oneOf: ANY_JSON,
    example: { amount: 12.5 },
  })
  args?: unknown;
  @ApiProperty() isDelegated!: boolean;
  @ApiProperty({ description: 'The id of the execution', example: 'exec_p9s0' }) workflowRunId!: string;
  @ApiProperty({
    description:
      'Since when it is suspended, in UTC, as PostgreSQL writes a timestamp without a zone: `2026-11-22 08:30:00.123456`',
  })
  updatedAt!: string;
}

@ApiSchema({ name: 'HostPendingApproval' })
export class HostPendingApprovalDto {
  @ApiProperty() hasPending!: boolean;
  @ApiPropertyOptional({ type: HostApprovalDto, description: 'If `hasPending` is true' }) approval?: HostApprovalDto;
}

class HostErrorMessageDto {
  @ApiProperty({ example: 'not_found' }) code!: string;
  @ApiProperty({ description: '`detail`, cut after 100 characters', example: 'There is no such conversation' })
  message!: string;
}

@ApiSchema({ name: 'HostError' })
export class HostErrorDto {
  @ApiProperty({ example: 'not_found' }) code!: string;
  @ApiProperty({ example: 'Not Found' }) title!: string;
  @ApiProperty({ type: 'integer', example: 404 }) status!: number;
  @ApiProperty({ example: 'There is no such conversation' }) detail!: string;
  @ApiProperty({ type: HostErrorMessageDto }) error!: HostErrorMessageDto;
}

/** Documents errors that are answered as the reference host answers them. */
export const HostErrors = (...statuses: number[]) =>
  applyDecorators(
    ApiExtraModels(HostErrorDto),
    ...statuses.map((status) =>
      ApiResponse({
        status,
        description: STATUS_CODES[status] as string,
        content: { 'application/problem+json': { schema: { $ref: getSchemaPath(HostErrorDto) } } },
      }),
    ),
  );
