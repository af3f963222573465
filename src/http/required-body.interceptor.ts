import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { Observable } from 'rxjs';
import type { GuardedRequest } from '../access/principal.js';
import { InvalidInputError } from './problem.error.js';

const WITH_BODY = Symbol('with body');

type ReadRequest = GuardedRequest & { [WITH_BODY]?: true };

/** For the body parser, which reads an empty body as `{}`. */
export function noteBody(request: unknown, body: Buffer): void {
  if (body.length > 0) {
    (request as ReadRequest)[WITH_BODY] = true;
  }
}

/**
 * Refuses a request without a body, or with an empty one, on a route where `{}` means "everything": a `-d` that was lost
 * on the way must not sweep a platform.
 */
@Injectable()
export class RequiredBody implements NestInterceptor {
  /** @throws InvalidInputError */
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<ReadRequest>();
    if (!request[WITH_BODY] && this.isRequiredOf(request)) {
      throw new InvalidInputError([
        { path: 'body', message: 'is required; send a JSON object, or {} to take every default' },
      ]);
    }
    return next.handle();
  }

  protected isRequiredOf(_request: GuardedRequest): boolean {
    return true;
  }
}

/** The same, except for callers that reach one tenant: those of the original service send no body. */
@Injectable()
export class RequiredBodyOfPlatform extends RequiredBody {
  protected override isRequiredOf({ scope }: GuardedRequest): boolean {
    return scope?.tenantId === null;
  }
}
