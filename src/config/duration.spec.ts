import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatDuration, parseDuration } from './duration.js';

test.each([
  ['30m', 1_800_000],
  ['90s', 90_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['500ms', 500],
])('%s is %d milliseconds', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(['', '30', 'm', '-1s', '1.5h', '30 m', '1w', '30M', '1e3s'])('"%s" is no duration', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test('what is written can be read again', () => {
  fc.assert(fc.property(fc.nat(), (ms) => parseDuration(formatDuration(ms)) === ms));
});
