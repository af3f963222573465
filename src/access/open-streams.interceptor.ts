import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  StreamableFile,
} from '@nestjs/common';
import type { Response } from 'express';
import { type Observable, tap } from 'rxjs';
import { OpenStreams } from './open-streams.service.js';
import type { GuardedRequest } from './principal.js';

/** Puts every answer that is a stream, of whichever route, among the open streams. */
@Injectable()
export class OpenStreamsInterceptor implements NestInterceptor {
  constructor(private readonly openStreams: OpenStreams) {}

  /** @throws TooManyStreamsError */
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<GuardedRequest>();
    const response = context.switchToHttp().getResponse<Response>();
    return next.handle().pipe(
      tap((answer) => {
        if (!(answer instanceof StreamableFile)) {
          return;
        }
        try {
          this.openStreams.add(request, response);
        } catch (error) {
          answer.getStream().destroy();
          throw error;
        }
      }),
    );
  }
}
