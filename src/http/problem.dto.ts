import { STATUS_CODES } from 'node:http';
import { applyDecorators } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiProperty,
  ApiPropertyOptional,
  ApiResponse,
  ApiSchema,
  getSchemaPath,
  type OpenAPIObject,
} from '@nestjs/swagger';

type Responses = NonNullable<NonNullable<OpenAPIObject['components']>['responses']>;

/** The header that says when to try or to ask again. */
export const RETRY_AFTER = {
  'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer', minimum: 1 } },
} as const;

@ApiSchema({ name: 'InputFault' })
export class InputFaultDto {
  @ApiProperty({ example: 'query.limit' }) path!: string;
  @ApiProperty({ example: 'must be a whole number from 1 to 500, not 0' }) message!: string;
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

const SWEEP = '/v1/sweeps/01890000-0000-7000-8000-000000000000';

/**
 * Each problem as the document tells it, with what a real call was answered: a test makes these calls again. The
 * words and codes are those of the errors themselves, of which other calls meet others.
 */
const PROBLEMS = {
  400: {
    name: 'BadRequest',
    description: 'The input has faults; `errors` names each',
    example: {
      instance: '/v1/sweeps',
      code: 'invalid_input',
      detail: 'query.limit: must be a whole number from 1 to 500, not 0',
      errors: [{ path: 'query.limit', message: 'must be a whole number from 1 to 500, not 0' }],
    },
  },
  401: {
    name: 'Unauthorized',
    description: 'No valid credential',
    example: {
      instance: '/v1/sweeps',
      code: 'unauthenticated',
      detail: 'Send a valid credential as "Authorization: Bearer <key>"',
    },
  },
  403: {
    name: 'Forbidden',
    description: "The credential's role, or the tenant that it is bound to, doesn't allow it",
    example: {
      instance: '/v1/sweeps',
      code: 'role_missing',
      detail: 'This needs the role "operator", which the credential doesn\'t have',
    },
  },
  404: {
    name: 'NotFound',
    description: 'There is no such thing in the scope of the credential',
    example: { instance: SWEEP, code: 'sweep_not_found', detail: 'There is no such sweep' },
  },
  409: {
    name: 'Conflict',
    description: 'It conflicts with what is going on, or with what was done already',
    example: {
      instance: `${SWEEP}/cancel`,
      code: 'sweep_not_running',
      detail: 'The sweep has ended already: it is succeeded',
    },
  },
  429: {
    name: 'TooManyRequests',
    description: 'Too many calls or open streams of this principal, or too many wrong credentials from this address',
    example: {
      instance: '/v1/sweeps',
      code: 'too_many_requests',
      detail: '1200 requests a minute are allowed; try again in 42 s',
    },
  },
  503: {
    name: 'ServiceUnavailable',
    description: 'The database, or the table of executions, does not answer at the moment: `code` says which',
    example: {
      instance: '/v1/sweeps',
      code: 'database_unavailable',
      detail: 'The database does not answer at the moment; try again',
    },
  },
} as const;

type ProblemStatus = keyof typeof PROBLEMS;

/** What every route answers that wants a credential. */
const ALWAYS: readonly ProblemStatus[] = [400, 401, 403, 404, 429, 503];

/** Documents the problems that a route answers which wants a credential, and those of its own. */
export const Problems = (...more: ProblemStatus[]) => OpenProblems(...ALWAYS, ...more);

/** Documents the problems of a route that is open to all. */
export function OpenProblems(...statuses: ProblemStatus[]) {
  return applyDecorators(
    ApiExtraModels(ProblemDto),
    ...statuses.map((status) => {
      const { name, description } = PROBLEMS[status];
      const reference = { $ref: `#/components/responses/${name}` };
      return ApiResponse({ status, description, ...reference });
    }),
  );
}

/** The answers that the document's operations refer to, by name. */
export function problemResponses(): Responses {
  const statuses = Object.keys(PROBLEMS).map(Number) as ProblemStatus[];
  return Object.fromEntries(statuses.map((status) => [PROBLEMS[status].name, problemResponse(status)]));
}

function problemResponse(status: ProblemStatus): Responses[string] {
  const { description, example } = PROBLEMS[status];
  const { instance, code, detail, ...errors } = example;
  const title = STATUS_CODES[status];
  const requestId = '2edb11b7-2a68-4537-9490-ecbe0609831c';
  return {
    description,
    ...(status === 429 || status === 503 ? { headers: RETRY_AFTER } : {}),
    content: {
      'application/problem+json': {
        schema: { $ref: getSchemaPath(ProblemDto) },
        example: { type: 'about:blank', title, status, detail, instance, code, requestId, ...errors },
      },
    },
  };
}
