import { Agent, type OutgoingHttpHeaders, request } from 'node:http';
import type { Answer } from './lapse.js';

const agent = new Agent({ keepAlive: true, maxSockets: 8 });

export interface ExactRequest {
  method: string;
  /** As it goes over the wire: `fetch` takes the dots out of a path such as `/a/%2E%2E/b`. */
  path: string;
  headers?: OutgoingHttpHeaders;
  body?: string | Buffer;
}

export function sendExactly(
  url: string,
  { method, path, headers = {}, body }: ExactRequest,
): Promise<Omit<Answer, 'headers'> & { headers: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    // Not a string: Node would send the headers in the encoding of the body.
    const bytes = body === undefined ? undefined : Buffer.from(body as string);
    const length = bytes === undefined ? {} : { 'content-length': bytes.length };
    const outgoing = request(url, { agent, method, path, headers: { ...length, ...headers } }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const isJson = /json/.test(response.headers['content-type'] ?? '');
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: isJson && text !== '' ? JSON.parse(text) : text,
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(bytes);
  });
}
