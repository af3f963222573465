import { createHash } from 'node:crypto';
import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { Request, Response } from 'express';
import { map, type Observable } from 'rxjs';

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

function isAmong(tags: string, tag: string): boolean {
  return tags.split(',').some((given) => given.trim() === tag);
}
