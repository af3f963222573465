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

/** What is said of each problem in the document; the words and codes are those of the errors themselves. */
const PROBLEMS = {
  400: { description: 'The input has faults; `errors` names each', code: 'invalid_input' },
  401: { description: 'No valid credential', code: 'unauthenticated' },
  403: {
    description: "The credential's role, or the tenant that it is bound to, doesn't allow it",
    code: 'role_missing',
  },
  404: { description: 'There is no such thing in the scope of the credential', code: 'not_found' },
  409: { description: 'It conflicts with what is going on', code: 'sweep_running' },
  429: { description: 'Too many calls; `Retry-After` says when to try again', code: 'too_many_requests' },
  503: { description: 'The database does not answer at the moment', code: 'database_unavailable' },
} as const;

/** Documents the problems that a route of ours answers; 401, 403, 429 and 503 come with every one. */
export function Problems(...statuses: (keyof typeof PROBLEMS)[]) {
  return applyDecorators(
    ApiExtraModels(ProblemDto),
    ...([401, 403, 429, 503, ...statuses] as const).map((status) =>
      ApiResponse({
        status,
        description: PROBLEMS[status].description,
        content: {
          'application/problem+json': { schema: { $ref: getSchemaPath(ProblemDto) }, example: exampleOf(status) },
        },
      }),
    ),
  );
}

function exampleOf(status: keyof typeof PROBLEMS) {
  const { description, code } = PROBLEMS[status];
  const fault = { path: 'query.limit', message: 'must be a whole number from 1 to 500, not 0' };
  return {
    type: 'about:blank',
    title: STATUS_CODES[status],
    status,
    detail: status === 400 ? `${fault.path}: ${fault.message}` : description,
    instance: '/v1/sweeps',
    code,
    requestId: '2edb11b7-2a68-4537-9490-ecbe0609831c',
    ...(status === 400 ? { errors: [fault] } : {}),
  };
}
