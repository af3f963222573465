import { STATUS_CODES } from 'node:http';
import {
  type ArgumentsHost,
  Catch,
  type ExceptionFilter,
  HttpException,
  Logger,
  NotFoundException,
} from '@nestjs/common';
import type { Response } from 'express';
import { QueryFailedError } from 'typeorm';
import type { GuardedRequest } from '../access/principal.js';
import { DatabaseUnreachableError } from '../database/database.errors.js';
import { isServerTrouble, isUntranslatable, READ_ONLY, sqlStateOf } from '../database/sql-state.js';
import {
  CharacterNotStorableError,
  DatabaseReadOnlyProblemError,
  type InputFault,
  InvalidInputError,
  NOTHING_HERE,
  ProblemError,
} from './problem.error.js';
import { requestIdOf } from './request-id.js';
import { unroutedProblem } from './unrouted.js';

/** RFC 9457, with the members that Lapse adds. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  code: string;
  requestId: string;
  errors?: readonly InputFault[];
}

/** A route that answers errors in a shape of its own puts its writer here, before anything can fail. */
export interface ProblemLocals {
  writeProblem?: (problem: Problem, response: Response) => void;
}

/** Turns every error into `application/problem+json`, and keeps what the caller must not see in the log. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('Http');

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<GuardedRequest>();
    const response = host.switchToHttp().getResponse<Response<unknown, ProblemLocals>>();
    const known = isUnrouted(error) ? unroutedProblem(request) : asProblemError(error);
    const requestId = requestIdOf(response);
    if (known.status >= 500) {
      this.report(`${request.method} ${request.path} failed (request ${requestId})`, known.status, error);
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    response.status(known.status).set(known.headers);
    const writeProblem = response.locals.writeProblem ?? writeProblemJson;
    writeProblem(asProblem(known, request, requestId), response);
  }

  /** What passes by itself is one line; what is a fault of ours comes with its stack. */
  private report(what: string, status: number, error: unknown): void {
    if (status === 503) {
      const { operatorDetail, cause } = error as { operatorDetail?: string; cause?: unknown };
      this.logger.warn(`${what}: ${operatorDetail ?? String(cause ?? error)}`);
    } else {
      this.logger.error(`${what}: ${String(error)}`, error instanceof Error ? error.stack : undefined);
    }
  }
}

/** No route took the request, or the one that did is hidden from the caller: both are answered in the same words. */
function isUnrouted(error: unknown): boolean {
  return error instanceof NotFoundException || (error instanceof ProblemError && error.code === NOTHING_HERE.code);
}

function asProblem(error: ProblemError, request: GuardedRequest, requestId: string): Problem {
  const isOfPlatform = request.principal?.scope.tenantId === null;
  return {
    type: 'about:blank',
    title: STATUS_CODES[error.status] ?? 'Error',
    status: error.status,
    detail: (isOfPlatform ? error.operatorDetail : undefined) ?? error.message,
    instance: request.originalUrl.split('?')[0] as string,
    code: error.code,
    requestId,
    ...(error.errors ? { errors: error.errors } : {}),
  };
}

function writeProblemJson(problem: Problem, response: Response): void {
  response.type('application/problem+json').send(JSON.stringify(problem));
}

/** What a caller is told of an error, whatever threw it. */
export function asProblemError(error: unknown): ProblemError {
  if (error instanceof ProblemError) {
    return error;
  }
  return bodyProblem(error) ?? httpProblem(error) ?? databaseProblem(error) ?? unexpectedProblem(error);
}

/** What Express's body parser and router throw before a route is reached, told by their own type words. */
function bodyProblem(error: unknown): ProblemError | undefined {
  const cause = error instanceof HttpException ? (error.cause ?? error) : error;
  const { type, limit } = cause as { type?: unknown; limit?: number };
  switch (type) {
    case 'entity.too.large':
      return new InvalidInputError([{ path: 'body', message: `is larger than the ${limit} bytes allowed` }]);
    case 'entity.parse.failed':
      return new InvalidInputError([
        { path: 'body', message: 'is not a JSON object; check quotes, commas and braces' },
      ]);
    case 'charset.unsupported':
    case 'encoding.unsupported':
    case 'entity.verify.failed':
      return new InvalidInputError([{ path: 'body', message: 'must be UTF-8 JSON, plain or compressed with gzip' }]);
    case 'request.aborted':
    case 'request.size.invalid':
      return new InvalidInputError([{ path: 'body', message: 'ended before its announced length' }]);
    default:
      return cause instanceof URIError
        ? new InvalidInputError([{ path: 'path', message: 'has a percent sign that is no valid encoding' }])
        : undefined;
  }
}

function httpProblem(error: unknown): ProblemError | undefined {
  if (!(error instanceof HttpException)) {
    return undefined;
  }
  const status = error.getStatus();
  return status === 404
    ? new ProblemError(NOTHING_HERE)
    : new ProblemError({ status, code: 'http_error', detail: error.message, cause: error });
}

/** Away for the moment rather than wrong. */
function databaseProblem(error: unknown): ProblemError | undefined {
  const state = sqlStateOf(error);
  if (isUntranslatable(error)) {
    return new CharacterNotStorableError(error);
  }
  if (state === READ_ONLY) {
    return new DatabaseReadOnlyProblemError(error);
  }
  const away = state ? isServerTrouble(state) : isConnectionError(error);
  return away
    ? new ProblemError({
        status: 503,
        code: 'database_unavailable',
        detail: 'The database does not answer at the moment; try again',
        headers: { 'Retry-After': '5' },
        cause: error,
      })
    : undefined;
}

/** What fails in a query without the server saying a word is the connection's, unless it never got to the wire. */
function isConnectionError(error: unknown): boolean {
  const isUnheard = error instanceof QueryFailedError && !(error.driverError instanceof TypeError);
  return isUnheard || error instanceof DatabaseUnreachableError;
}

function unexpectedProblem(cause: unknown): ProblemError {
  return new ProblemError({
    status: 500,
    code: 'internal_error',
    detail: 'Something went wrong inside Lapse; the log has it under this request id',
    cause,
  });
}
