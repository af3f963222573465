import { expect, test } from '@jest/globals';
import { parseRfc3339, rfc3339, rfc3339OrNull } from './moments.js';

test.each([
  ['2026-11-22T08:30:00Z', '2026-11-22T08:30:00.000000Z'],
  ['2026-11-22t08:30:00z', '2026-11-22T08:30:00.000000Z'],
  ['2026-11-22T08:30:00-00:00', '2026-11-22T08:30:00.000000Z'],
  ['2026-11-22T08:30:00.5+05:45', '2026-11-22T02:45:00.500000Z'],
  ['2026-11-22T08:30:00.1234567890-15:59', '2026-11-23T00:29:00.123456Z'],
  [`2026-11-22T08:30:00.${'9'.repeat(1_000)}Z`, '2026-11-22T08:30:00.999999Z'],
  ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000000Z'],
  ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000000Z'],
  ['9999-12-31T23:59:59.999999999Z', '9999-12-31T23:59:59.999999Z'],
])('%s is %s', (text, expected) => {
  expect(parseRfc3339(text)).toBe(expected);
  expect(parseRfc3339(expected)).toBe(expected);
});

test.each([
  ['a date that does not exist', '2026-02-30T00:00:00Z'],
  ['a leap day of a common year', '2026-02-29T00:00:00Z'],
  ['a leap day of 1900', '1900-02-29T00:00:00Z'],
  ['31 April', '2026-04-31T00:00:00Z'],
  ['month 13', '2026-13-01T00:00:00Z'],
  ['day 0', '2026-01-00T00:00:00Z'],
  ['hour 24', '2026-01-01T24:00:00Z'],
  ['minute 60', '2026-01-01T00:60:00Z'],
  ['a leap second', '2016-12-31T23:59:60Z'],
  ['no seconds', '2026-11-22T08:30Z'],
  ['no offset', '2026-11-22T08:30:00'],
  ['no time', '2026-11-22'],
  ['an offset without a colon', '2026-11-22T08:30:00+0100'],
  ['an offset of hours alone', '2026-11-22T08:30:00+01'],
  ['an offset beyond that of PostgreSQL', '2026-11-22T08:30:00+23:59'],
  ['an offset of 16 hours', '2026-11-22T08:30:00-16:00'],
  ['an offset of 60 minutes', '2026-11-22T08:30:00+01:60'],
  ['an empty fraction', '2026-11-22T08:30:00.Z'],
  ['a comma', '2026-11-22T08:30:00,5Z'],
  ['a space for the T', '2026-11-22 08:30:00Z'],
  ['year 0', '0000-06-01T00:00:00Z'],
  ['year 0 in UTC', '0001-01-01T00:00:00+00:01'],
  ['year 10000', '10000-01-01T00:00:00Z'],
  ['year 10000 in UTC', '9999-12-31T23:59:59-00:01'],
  ['a year with a sign', '+002026-11-22T08:30:00Z'],
  ['a week', '2026-W47-7T08:30:00Z'],
  ['other digits', '２０２６-11-22T08:30:00Z'],
  ['a line feed behind', '2026-11-22T08:30:00Z\n'],
  ['a number', '1763800200'],
  ['a word of PostgreSQL', 'infinity'],
  ['nothing', ''],
])('%s is no time: %s', (_what, text) => {
  expect(parseRfc3339(text)).toBeUndefined();
});

test.each([
  [new Date('2026-11-22T08:30:00.123Z'), '2026-11-22T08:30:00.123Z'],
  [Number.POSITIVE_INFINITY, '9999-12-31T23:59:59.999Z'],
  [Number.NEGATIVE_INFINITY, '0001-01-01T00:00:00.000Z'],
  [new Date(Number.NaN), '9999-12-31T23:59:59.999Z'],
  [new Date('+010000-01-01T00:00:00Z'), '9999-12-31T23:59:59.999Z'],
  [new Date('-004713-01-01T00:00:00Z'), '0001-01-01T00:00:00.000Z'],
])('%s is written as %s', (moment, expected) => {
  expect(rfc3339(moment)).toBe(expected);
});

test('a moment that is missing stays so', () => {
  expect(rfc3339OrNull(null)).toBeNull();
});
