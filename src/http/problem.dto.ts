import { applyDecorators } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiProperty,
  ApiPropertyOptional,
  ApiResponse,
  ApiSchema,
  getSchemaPath,
} from '@nestjs/swagger';

@ApiSchema({ name: 'InputFault' })
export class InputFaultDto {
  @ApiProperty({ example: 'body.limit' }) path!: string;
  @ApiProperty({ example: 'must be a whole number from 1 to 1000' }) message!: string;
}

@ApiSchema({ name: 'Problem', description: 'RFC 9457 problem details' })
export class ProblemDto {
  @ApiProperty({ example: 'about:blank' }) type!: string;
  @ApiProperty({ example: 'Bad Request' }) title!: string;
  @ApiProperty({ type: 'integer', example: 400 }) status!: number;
  @ApiProperty() detail!: string;
  @ApiProperty({ description: 'The path that was called' }) instance!: string;
  @ApiProperty({ description: 'A stable word to branch on' }) code!: string;
  @ApiProperty({ description: 'Also in the header X-Request-Id and in the log' }) requestId!: string;
  @ApiPropertyOptional({ type: [InputFaultDto], description: 'For bad input: each fault with its path' })
  errors?: InputFaultDto[];
}

const DESCRIPTIONS = {
  400: 'The input has faults; `errors` names each',
  401: 'No valid credential',
  403: "The credential's role doesn't allow it",
  404: 'There is no such thing in the scope of the credential',
  409: 'It conflicts with what is going on',
  503: 'The database does not answer at the moment',
} as const;

/** Documents the problems that a route of ours answers; 401, 403 and 503 come with every one. */
export function Problems(...statuses: (keyof typeof DESCRIPTIONS)[]) {
  return applyDecorators(
    ApiExtraModels(ProblemDto),
    ...([401, 403, 503, ...statuses] as const).map((status) =>
      ApiResponse({
        status,
        description: DESCRIPTIONS[status],
        content: { 'application/problem+json': { schema: { $ref: getSchemaPath(ProblemDto) } } },
      }),
    ),
  );
}
