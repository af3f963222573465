import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  StreamableFile,
} from '@nestjs/common';
import type { Response } from 'express';
import { map, type Observable } from 'rxjs';
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
      map((answer) => {
        if (!(answer instanceof StreamableFile)) {
          return answer;
        }
        if (request.method === 'HEAD') {
          // Nobody would read the stream, which may be as long as a table or last as long as a sweep.
          answer.getStream().destroy();
          response.type(answer.getHeaders().type);
          return undefined;
        }
        try {
          this.openStreams.add(request, response);
        } catch (error) {
          answer.getStream().destroy();
          throw error;
        }
        return answer;
      }),
    );
  }
}
