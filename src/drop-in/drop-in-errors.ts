import type { NextFunction, Request, Response } from 'express';
import type { Problem, ProblemLocals } from '../http/problem.filter.js';

/** The paths of the original service, whose callers expect `{error}`. */
export const ORIGINAL_PATHS = ['/run/api', '/api/cron'];

/** The paths of the reference host, whose callers expect its problems. */
export const HOST_PATHS = ['/run/v1'];

/** The codes of the host. It has none for other statuses. */
const HOST_CODES: Record<number, string> = {
  400: 'bad_request',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  409: 'conflict',
  429: 'too_many_requests',
  500: 'internal_server_error',
  503: 'service_unavailable',
};

/** The host cuts the message in `error`, and never `detail`. */
const MAX_HOST_MESSAGE = 100;

type LocalResponse = Response<unknown, ProblemLocals>;

/** Has whatever goes wrong from here on answered as `{error}`. */
export function answerErrorsAsOriginal(_request: Request, response: LocalResponse, next: NextFunction): void {
  response.locals.writeProblem = ({ detail }, to) => to.json({ error: detail });
  next();
}

/** Has whatever goes wrong from here on answered as the reference host answers it. */
export function answerErrorsAsHost(_request: Request, response: LocalResponse, next: NextFunction): void {
  response.locals.writeProblem = (problem, to) =>
    to.type('application/problem+json').send(JSON.stringify(asHostError(problem)));
  next();
}

function asHostError({ title, status, detail }: Problem) {
  const code = HOST_CODES[status] ?? 'bad_request';
  const message = detail.length > MAX_HOST_MESSAGE ? `${detail.slice(0, MAX_HOST_MESSAGE - 3)}...` : detail;
  return { code, title, status, detail, error: { code, message: message.toWellFormed() } };
}
