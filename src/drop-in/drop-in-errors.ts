import type { NextFunction, Request, Response } from 'express';
import type { ProblemLocals } from '../http/problem.filter.js';

/** The paths of the original service, whose callers expect its errors. */
export const DROP_IN_PATHS = ['/run/api', '/run/v1', '/api/cron'];

/** Has whatever goes wrong from here on answered as `{error}`. */
export function answerErrorsAsDropIn(
  _request: Request,
  response: Response<unknown, ProblemLocals>,
  next: NextFunction,
): void {
  response.locals.writeProblem = ({ detail }, to) => to.json({ error: detail });
  next();
}
