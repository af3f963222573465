import fc, { type Arbitrary } from 'fast-check';
import { bodyOf, type Operation, type Parameter, resolved, type Schema } from './api-document.js';

/** One call of an operation, and whether the document calls its input valid. */
export interface Call {
  path: string;
  headers: Record<string, string>;
  body: string | undefined;
  isValid: boolean;
}

interface Values {
  /** Missing where no valid value can be made up. */
  valid?: Arbitrary<unknown>;
  invalid: Arbitrary<unknown>;
}

/** Calls with generated input, by known ids as often as by made-up ones: half of them valid, and half with one fault. */
export function callsOf(operation: Operation, known: Record<string, string[]>): Arbitrary<Call> {
  const body = bodyOf(operation);
  return fc
    .record({
      parameters: fc.tuple(...operation.parameters.map((parameter) => parameterValues(parameter, known))),
      body: body
        ? bodies(resolved(body.schema), known, operation.tags?.includes('Drop-in') ?? false)
        : fc.constant({ text: undefined, isValid: true }),
      unknown: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    })
    .map(({ parameters, body, unknown }) => {
      const ofKind = (kind: Parameter['in']) =>
        operation.parameters.flatMap((parameter, at) => {
          const { value } = parameters[at] as { value: string | undefined };
          return parameter.in === kind && value !== undefined ? [[parameter.name, value] as const] : [];
        });
      const path = ofKind('path').reduce(
        (path, [name, value]) => path.replace(`{${name}}`, encodeURIComponent(value)),
        operation.path,
      );
      const query = [...ofKind('query'), ...(unknown ? [['unknown', '1'] as const] : [])];
      return {
        path:
          query.length === 0
            ? path
            : `${path}?${query.map((pair) => pair.map(encodeURIComponent).join('=')).join('&')}`,
        headers: Object.fromEntries(ofKind('header')),
        body: body.text,
        isValid: !unknown && body.isValid && parameters.every(({ isValid }) => isValid),
      };
    });
}

function parameterValues({ name, in: place, required, schema }: Parameter, known: Record<string, string[]>) {
  const { valid, invalid } = valuesOf(name, schema, known);
  const asText = (values: Arbitrary<unknown>, isValid: boolean) =>
    values
      .map((value) => ({ value: place === 'header' ? inBytes(String(value)) : String(value), isValid }))
      .filter(({ value }) => (place === 'path' ? value !== '' : place === 'query' || isSendable(value)));
  return fc.oneof(
    ...(valid ? [{ weight: 8, arbitrary: asText(valid, true) }] : []),
    { weight: 1, arbitrary: asText(invalid, false) },
    { weight: required ? 0 : 8, arbitrary: fc.constant({ value: undefined, isValid: true }) },
  );
}

/** Text as UTF-8, each byte of which Node sends for a character. */
function inBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** HTTP has no control characters in headers, and white space at their edges belongs to nobody. */
function isSendable(header: string): boolean {
  return /^[\x20-\x7e\x80-\xff]*$/.test(header) && header === header.replace(/^ +| +$/g, '');
}

function bodies(
  schema: Schema,
  known: Record<string, string[]>,
  ignoresUnknown: boolean,
): Arbitrary<{ text: string | undefined; isValid: boolean }> {
  const members = Object.entries(schema.properties ?? {}).map(([name, member]) => ({
    name,
    ...valuesOf(name, member, known),
  }));
  const required = schema.required ?? [];
  const valid = fc.record(Object.fromEntries(members.map(({ name, valid = fc.constant(null) }) => [name, valid])), {
    requiredKeys: required,
  });
  const withFault = fc
    .tuple(valid, fc.oneof(...members.map(({ name, invalid }) => invalid.map((value) => ({ [name]: value })))))
    .map(([body, fault]) => ({ ...body, ...fault }));
  return fc.oneof(
    { weight: 4, arbitrary: valid.map((body) => ({ text: JSON.stringify(body), isValid: true })) },
    { weight: 1, arbitrary: withFault.map((body) => ({ text: JSON.stringify(body), isValid: false })) },
    {
      weight: 1,
      arbitrary: valid.map((body) => ({ text: JSON.stringify({ ...body, unknown: 1 }), isValid: ignoresUnknown })),
    },
    {
      weight: 1,
      arbitrary: fc
        .oneof(fc.json(), fc.string(), fc.constant('{"limit": 1'))
        .filter(isNoObject)
        .map((text) => ({ text, isValid: false })),
    },
  );
}

/** Text that isn't a body of some members; none at all means that every member is left out. */
function isNoObject(text: string): boolean {
  try {
    const value = JSON.parse(text);
    return typeof value !== 'object' || value === null || Array.isArray(value);
  } catch {
    return text.trim() !== '';
  }
}

function valuesOf(name: string, schema: Schema, known: Record<string, string[]>): Values {
  if (schema.enum) {
    return { valid: fc.constantFrom(...schema.enum), invalid: fc.constantFrom('nonsense', '', 'null', ' ') };
  }
  if (name === 'cursor') {
    return { invalid: fc.oneof(fc.string(), fc.base64String(), fc.constant('garbage')) };
  }
  switch (schema.type) {
    case 'integer':
      return wholeNumbers(schema);
    case 'boolean':
      return { valid: fc.boolean(), invalid: fc.constantFrom('yes', '1', '', 'TRUE') };
    default:
      return texts(name, schema, known[name] ?? []);
  }
}

function wholeNumbers({ minimum = 0, maximum = 2 ** 31 - 1 }: Schema): Values {
  return {
    valid: fc.oneof(
      fc.integer({ min: minimum, max: Math.min(maximum, minimum + 20) }),
      fc.constantFrom(minimum, maximum),
    ),
    invalid: fc.constantFrom(minimum - 1, maximum + 1, 1.5, 1e300, 'ten', '', '0x1', '1e1', '9'.repeat(400)),
  };
}

function texts(name: string, { format, pattern, minLength = 0, maxLength = 1000 }: Schema, known: string[]): Values {
  if (format === 'uuid') {
    return {
      valid: fc.oneof(fc.constantFrom(...known), fc.uuid()),
      invalid: fc.constantFrom('not-a-uuid', '..', 'a\0b', '1', ' '),
    };
  }
  if (format === 'date-time') {
    return { valid: fc.oneof(moments(), fc.constantFrom(...ODD_MOMENTS)), invalid: fc.constantFrom(...NO_MOMENTS) };
  }
  if (pattern !== undefined) {
    return {
      valid: fc.stringMatching(new RegExp(pattern)),
      invalid: fc.constantFrom('soon', '0s', '1.5h', '-1m', '7', ''),
    };
  }
  const anything = fc
    .string({ unit: 'binary', minLength, maxLength })
    .filter((text) => !text.includes('\0') && [...text].length <= maxLength);
  return {
    // Made-up text belongs to the names that are known, and seldom to a tenant that a credential can't see.
    valid:
      known.length > 0
        ? fc.oneof({ weight: name === 'tenantId' ? 9 : 2, arbitrary: fc.constantFrom(...known) }, anything)
        : anything,
    invalid: fc.constantFrom('', 'a\0b', 'x'.repeat(maxLength + 1), 'x'.repeat(10_000)),
  };
}

/** Instants of all years, with any offset and fraction that RFC 3339 and PostgreSQL have. */
function moments(): Arbitrary<string> {
  const dates = fc.date({ min: new Date('0001-01-02'), max: new Date('9999-12-30'), noInvalidDate: true });
  return fc
    .record({
      date: dates,
      fraction: fc.stringMatching(/^(\.\d{1,12})?$/),
      offset: fc.integer({ min: -959, max: 959 }),
    })
    .map(({ date, fraction, offset }) => {
      const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60];
      const zone = `${offset < 0 ? '-' : '+'}${[hours, minutes].map((part) => String(part).padStart(2, '0')).join(':')}`;
      return `${date.toISOString().slice(0, 19)}${fraction}${offset === 0 ? 'Z' : zone}`;
    });
}

const ODD_MOMENTS = [
  '0001-01-01T00:00:00Z',
  '9999-12-31T23:59:59.9999999999Z',
  '2024-02-29T23:59:59-00:00',
  '2026-11-22t08:30:00z',
  '9999-12-31T23:59:59+15:59',
  `2026-11-22T08:30:00.${'1'.repeat(500)}Z`,
];

export const NO_MOMENTS = [
  ...[
    'yesterday',
    '2026-11-22',
    '2026-13-45T00:00:00Z',
    '2026-11-22T00:00:00',
    '0',
    '',
    'now',
    'infinity',
    '-infinity',
  ],
  ...[
    '2026-02-30T00:00:00Z',
    '2026-02-29T00:00:00Z',
    '2026-11-22T24:00:00Z',
    '2016-12-31T23:59:60Z',
    '2026-11-22T08:30Z',
  ],
  ...['2026-11-22T08:30:00+23:59', '2026-11-22T08:30:00-16:00', '2026-11-22T08:30:00 01:00', '2026-11-22 08:30:00Z'],
  ...['0000-01-01T00:00:00Z', '0001-01-01T00:00:00+00:01', '9999-12-31T23:59:59-00:01', '+010000-01-01T00:00:00Z'],
  ...[
    '294277-01-01T00:00:00Z',
    '-271821-04-20T00:00:00Z',
    '2026-11-22T08:30:00.Z',
    '1763800200',
    '\u0661\u0662',
    '9'.repeat(9_000),
  ],
];
