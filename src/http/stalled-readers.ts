import { Injectable } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';

/**
 * Cuts answers whose reader has taken nothing for a while, although there is something to take: a page, a download or an
 * event stream. They would keep their memory, and their place among the open streams, for as long as the reader likes.
 */
@Injectable()
export class StalledReaders {
  timeoutMs = 30_000;

  /** Middleware. */
  readonly cut = (request: Request, response: Response, next: NextFunction): void => {
    const { socket } = request;
    // Node restarts this timer whenever the connection sends or receives something.
    response.setTimeout(this.timeoutMs, () => {
      if (response.writableLength > 0 || socket.writableLength > 0) {
        response.destroy();
      } else {
        // It's our turn: a handler is at work, or there is no event to send.
        socket.setTimeout(this.timeoutMs);
      }
    });
    next();
  };
}
