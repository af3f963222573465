import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/internal.js';
import type { Request } from 'express';
import type { Observable } from 'rxjs';
import { InvalidInputError } from './problem.error.js';
import { unknownName } from './unknown-names.js';

/** Refuses a query or a body that the handler does not take: what a caller meant by it would be ignored silently. */
@Injectable()
export class UnexpectedInput implements NestInterceptor {
  /** @throws InvalidInputError */
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { method, query, body } = context.switchToHttp().getRequest<Request>();
    const names = [
      ...(takes(context, RouteParamtypes.QUERY) ? [] : namesIn('query', query)),
      // A body of a GET has no meaning (RFC 9110), so that nothing can be meant by it.
      ...(method === 'GET' || takes(context, RouteParamtypes.BODY) ? [] : namesIn('body', body)),
    ];
    if (names.length > 0) {
      throw new InvalidInputError(names.map((path) => ({ path, message: unknownName(path, []) })));
    }
    return next.handle();
  }
}

function namesIn(place: string, given: unknown): string[] {
  return Object.keys(given ?? {}).map((name) => `${place}.${name}`);
}

function takes(context: ExecutionContext, type: RouteParamtypes): boolean {
  const parameters = Reflect.getMetadata(ROUTE_ARGS_METADATA, context.getClass(), context.getHandler().name) ?? {};
  return Object.keys(parameters).some((key) => key.startsWith(`${type}:`));
}
