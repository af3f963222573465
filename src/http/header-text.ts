import { isUtf8 } from 'node:buffer';
import type { Request } from 'express';
import { isText, MAX_ID_CHARACTERS, shown, textAllowed } from './input.validators.js';
import { InvalidInputError } from './problem.error.js';

/**
 * An id that a header names. Node reads each byte of a header as a character of Latin-1; clients send UTF-8, as they do
 * everywhere else.
 *
 * @param name in lower case.
 * @returns undefined without such a header.
 * @throws InvalidInputError if it isn't UTF-8, is empty or too long, or came more than once: Node would join the values.
 */
export function idInHeader(request: Pick<Request, 'headersDistinct'>, name: string): string | undefined {
  const values = request.headersDistinct[name];
  if (values === undefined) {
    return undefined;
  }
  const refuse = (message: string) => new InvalidInputError([{ path: `header.${name}`, message }]);
  const [value, ...more] = values as [string, ...string[]];
  if (more.length > 0) {
    throw refuse(`came ${values.length} times; send it once`);
  }
  const bytes = Buffer.from(value, 'latin1');
  if (!isUtf8(bytes)) {
    throw refuse('is not valid UTF-8');
  }
  const text = bytes.toString('utf8');
  if (!isText(text, MAX_ID_CHARACTERS)) {
    throw refuse(`${textAllowed(MAX_ID_CHARACTERS)}, not ${shown(text)}`);
  }
  return text;
}
