import { isUtf8 } from 'node:buffer';
import type { NextFunction, Request, Response } from 'express';
import { InvalidInputError } from './problem.error.js';

/**
 * Refuses a query that isn't UTF-8. The parser would read each byte that it doesn't understand as U+FFFD, so that two
 * different ids became the same one.
 */
export function refuseMalformedQuery(request: Request, _response: Response, next: NextFunction): void {
  const query = request.originalUrl.split('?').slice(1).join('?');
  const malformed = query.split('&').filter((parameter) => !isDecodable(parameter));
  if (malformed.length === 0) {
    next();
    return;
  }
  throw new InvalidInputError(
    malformed.map((parameter) => {
      const name = parameter.split('=')[0] as string;
      return { path: isDecodable(name) ? `query.${decodeURIComponent(name)}` : 'query', message: 'is not valid UTF-8' };
    }),
  );
}

/** For the body parser, which would do the same to a body. @throws Error, told by the type of what the parser makes of it. */
export function refuseMalformedBody(_request: unknown, _response: unknown, body: Buffer): void {
  if (!isUtf8(body)) {
    throw new Error('The body is not UTF-8');
  }
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
