import { gzipSync } from 'node:zlib';
import fc, { type Arbitrary } from 'fast-check';
import type { Operation } from './api-document.js';
import { callsOf, NO_MOMENTS } from './inputs.js';

/** A call that no client sends which follows the document: whatever is answered, it isn't a failure of the service. */
export interface HostileCall {
  method: string;
  path: string;
  headers: Record<string, string | string[]>;
  body: Buffer | undefined;
}

const METHODS = [
  'HEAD',
  'OPTIONS',
  'GET',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'TRACE',
  'PROPFIND',
  'SEARCH',
  'LINK',
  'LOCK',
];

/** Bytes, each as a character of Latin-1. */
const HEADER_BYTES = [
  ...[
    '',
    'acme',
    'caf\xe9',
    'caf\xc3\xa9',
    '\xff\xfe',
    '\xc0\x80',
    '\xed\xa0\x80',
    '\xf0\x9f\xa6\x8a',
    '*',
    ',',
    ';=;',
    '"',
  ],
  ...['x'.repeat(257), '\xf0\x9f\xa6\x8a'.repeat(257), 'x'.repeat(9_000), "'; DROP TABLE sweeps; --", '\t', '%00'],
];

const HEADERS: Record<string, readonly (string | string[])[]> = {
  'x-tenant-id': [
    ['acme', 'globex'],
    ['acme', ''],
  ],
  accept: [
    'text/csv',
    'text/*',
    'text/csv;q=0',
    'text/csv, application/json',
    'text/csv;q=x',
    '*/*;q=0',
    `${'a/b,'.repeat(2_000)}`,
  ],
  'accept-encoding': ['gzip', 'identity;q=0, *;q=0'],
  'accept-charset': ['utf-16'],
  authorization: ['Bearer', 'Bearer  ', 'Basic YTpi', 'Bearer eyJ.e30.', 'Bearer lapse_x_y', ['Bearer a', 'Bearer b']],
  'content-type': [
    ...[
      'text/plain',
      'application/json; charset=utf-16',
      'application/json; charset=utf-7',
      'application/json; charset=x',
    ],
    ...['application/json; charset=iso-8859-1', 'application/json; charset=utf-32', 'multipart/form-data; boundary=x'],
  ],
  'content-encoding': ['gzip', 'deflate', 'br', 'identity', 'compress', 'gzip, gzip'],
  'if-none-match': ['*', 'W/"x", "y"', ['"a"', '"b"']],
  'if-modified-since': ['Thu, 30 Feb 2026 00:00:00 GMT'],
  'x-request-id': [['a', 'b']],
  'x-http-method-override': ['DELETE'],
  expect: ['100-continue'],
  range: ['bytes=0-0', 'bytes=9-1'],
  origin: ['null'],
  cookie: ['a=b'],
  forwarded: ['for=1.2.3.4:5'],
  'x-forwarded-host': ['a:b'],
  'x-forwarded-proto': ['x'],
};

/** What is put behind a path as it is. */
const TAILS = [
  ...[
    '%FF',
    '%',
    '%00',
    '%C0%80',
    '&',
    '=',
    '__proto__=1',
    'constructor=1',
    'limit[]=1',
    'limit[a]=1',
    'limit=1&limit=2',
  ],
  ...[
    'tenantId=acme&tenantId=globex',
    'tenantId=',
    'cursor=',
    'cursor=AAAA',
    'cursor=%F0%9F%A6%8A',
    'wait=',
    'overdue=1',
  ],
  ...['from=2026-11-22T00:00:00+01:00', 'from=2026-11-23T00:00:00Z&to=2026-11-22T00:00:00Z', `x=${'y'.repeat(20_000)}`],
  ...NO_MOMENTS.flatMap((text) => [`from=${encodeURIComponent(text)}`, `to=${encodeURIComponent(text)}`]),
];

export function hostileCallsOf(operation: Operation, known: Record<string, string[]>): Arbitrary<HostileCall> {
  const headers = fc
    .subarray(Object.keys(HEADERS), { maxLength: 4 })
    .chain((names) =>
      fc.record(
        Object.fromEntries(names.map((name) => [name, fc.constantFrom(...HEADER_BYTES, ...(HEADERS[name] ?? []))])),
      ),
    );
  const tails = fc.oneof(
    { weight: 2, arbitrary: fc.constant('') },
    { weight: 1, arbitrary: fc.constantFrom(...TAILS) },
  );
  const methods = fc.oneof(
    { weight: 3, arbitrary: fc.constant(operation.method) },
    { weight: 1, arbitrary: fc.constantFrom(...METHODS) },
  );
  return fc
    .record({ call: callsOf(operation, known), method: methods, headers, tail: tails, body: bodies() })
    .map(({ call, method, headers, tail, body }) => ({
      method,
      path: tail === '' ? call.path : `${call.path}${call.path.includes('?') ? '&' : '?'}${tail}`,
      // Node's own client refuses what is no HTTP.
      headers: Object.fromEntries(
        Object.entries({ ...call.headers, ...headers }).filter(([, value]) => value !== '\t'),
      ),
      body: method === 'TRACE' ? undefined : body(call.body),
    }));
}

/** What may be done to a body before it is sent. */
function bodies(): Arbitrary<(text: string | undefined) => Buffer | undefined> {
  const nested = (open: string, close: string) => () =>
    Buffer.from(`{"reason":${open.repeat(9_000)}1${close.repeat(9_000)}}`);
  return fc.constantFrom<(text: string | undefined) => Buffer | undefined>(
    () => undefined,
    (text) => (text === undefined ? undefined : Buffer.from(text)),
    (text = '{}') => Buffer.from(text, 'utf16le'),
    (text = '{}') => Buffer.from(`\ufeff${text}`),
    (text = '{"reason":"caf\u00e9"}') => Buffer.from(text, 'latin1'),
    (text = '{}') => gzipSync(text),
    (text = '{}') => gzipSync(text).subarray(0, 15),
    () => gzipSync(Buffer.alloc(1_000_000, ' ')),
    (text = '{}') => Buffer.from(text).subarray(0, 5),
    (text = '{}') => Buffer.from(text.replace(/\d+/g, '1e999')),
    () => Buffer.from(`{"expiresAt": "2026-02-30T00:00:00Z", "name": "x", "role": "viewer"}`),
    () => Buffer.from(`{"a": ${'1,'.repeat(40_000)}1}`),
    () => Buffer.from(`{${Array.from({ length: 5_000 }, (_, n) => `"${n}":1`).join()}}`),
    () => Buffer.alloc(150_000, 'x'),
    () => Buffer.from([0xff, 0xfe, 0x00]),
    nested('[', ']'),
    nested('{"a":', '}'),
  );
}
