import { createHash } from 'node:crypto';
import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import { ApiNotModifiedResponse } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { map, type Observable } from 'rxjs';
import { RawJsonBody } from './raw-json.interceptor.js';

/**
 * Gives the answer a tag, and answers 304 without a body to whoever brings that tag in `If-None-Match`.
 *
 * Express would do so too, except where the request says `Cache-Control: no-cache`; and that is what browsers add to a
 * `fetch` that sets `If-None-Match` itself.
 */
@Injectable()
export class ConditionalGet implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<Request>();
    const response = context.switchToHttp().getResponse<Response>();
    return next.handle().pipe(
      map((body) => {
        const tag = `W/"${createHash('sha256').update(JSON.stringify(body)).digest('base64url')}"`;
        response.setHeader('ETag', tag);
        if (!isAmong(request.get('if-none-match') ?? '', tag)) {
          return body;
        }
        response.status(304);
        return undefined;
      }),
    );
  }
}

/** For a route that is polled: answers 304 as `ConditionalGet` does, and stored JSON as it is. */
export const AnswersIfChanged = () =>
  applyDecorators(
    UseInterceptors(ConditionalGet, RawJsonBody),
    ApiNotModifiedResponse({
      description: 'Nothing has changed since the answer whose `ETag` came in `If-None-Match`',
    }),
  );

function isAmong(tags: string, tag: string): boolean {
  return tags.split(',').some((given) => given.trim() === tag);
}
