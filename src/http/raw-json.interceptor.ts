import { randomUUID } from 'node:crypto';
import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  StreamableFile,
} from '@nestjs/common';
import type { Response } from 'express';
import { map, type Observable } from 'rxjs';

/**
 * JSON as the database wrote it, to be passed on unchanged: JavaScript would round its numbers, and could overflow its
 * stack on what is nested deeply. A route that answers one declares `@UseInterceptors(RawJsonBody)`.
 */
export class RawJson {
  constructor(readonly text: string) {}
}

/**
 * Writes the body of an answer itself, with each `RawJson` in it as it is. Declared after `ConditionalGet`, which then
 * makes its tag from this text.
 */
@Injectable()
export class RawJsonBody implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const response = context.switchToHttp().getResponse<Response>();
    return next.handle().pipe(
      map((body: object) => {
        if (body instanceof StreamableFile) {
          return body;
        }
        response.type('application/json');
        return stringify(body);
      }),
    );
  }
}

/** JSON with each `RawJson` in it as it is. No text of the body can be taken for a placeholder, since each call draws its own. */
export function stringify(body: object, indent?: number): string {
  const mark = randomUUID();
  const texts: string[] = [];
  const withPlaceholders = JSON.stringify(
    body,
    (_key, value: unknown) => (value instanceof RawJson ? `${mark}:${texts.push(value.text) - 1}` : value),
    indent,
  );
  return withPlaceholders.replace(new RegExp(`"${mark}:(\\d+)"`, 'g'), (_, at) => texts[at] as string);
}
