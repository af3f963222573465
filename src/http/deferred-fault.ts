import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';

const FAULT = Symbol('fault');

type ReadRequest = Request & { [FAULT]?: unknown };

/**
 * Express error handler, after the middlewares that read the input. It keeps what they found wrong until the guards have
 * let the caller in: a malformed body then counts against the rate limit and is audited like any other bad input, and
 * whoever has no valid credential is answered 401.
 */
export function deferFault(fault: unknown, request: ReadRequest, _response: Response, next: NextFunction): void {
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
