import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/internal.js';
import type { Request } from 'express';
import type { Observable } from 'rxjs';
import { InvalidInputError } from './problem.error.js';
import { unknownName } from './unknown-names.js';

const MAX_FAULTS = 20;

/** Refuses a query where the handler takes none: what a caller meant by it would be passed over in silence. */
@Injectable()
export class UnexpectedQuery implements NestInterceptor {
  /** @throws InvalidInputError */
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const names = Object.keys(context.switchToHttp().getRequest<Request>().query);
    if (names.length > 0 && !takesQuery(context)) {
      throw new InvalidInputError(
        names.slice(0, MAX_FAULTS).map((name) => ({ path: `query.${name}`, message: unknownName(name, []) })),
      );
    }
    return next.handle();
  }
}

function takesQuery(context: ExecutionContext): boolean {
  const parameters = Reflect.getMetadata(ROUTE_ARGS_METADATA, context.getClass(), context.getHandler().name) ?? {};
  return Object.keys(parameters).some((key) => key.startsWith(`${RouteParamtypes.QUERY}:`));
}
