import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { asProblemError } from './problem.filter.js';

const FAULT = Symbol('fault');

type ReadRequest = Request & { [FAULT]?: unknown };

/**
 * Express error handler, after the middlewares that read the input. It keeps what they found wrong until the guards have
 * let the caller in: a malformed body then counts against the rate limit and is audited like any other bad input, and
 * whoever has no valid credential is answered 401. What is not the caller's fault is answered at once.
 */
export function deferFault(fault: unknown, request: ReadRequest, _response: Response, next: NextFunction): void {
  if (asProblemError(fault).status >= 500) {
    next(fault);
    return;
  }
  request[FAULT] = fault;
  next();
}

/** The last guard: refuses input that could not be read. */
@Injectable()
export class ReadableInputGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { [FAULT]: fault } = context.switchToHttp().getRequest<ReadRequest>();
    if (fault !== undefined) {
      throw fault;
    }
    return true;
  }
}
