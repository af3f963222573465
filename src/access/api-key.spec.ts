import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { generateApiKey, parseApiKey, sameSecret } from './api-key.js';

test('a generated key is read again, part by part', () => {
  for (let n = 0; n < 200; n += 1) {
    const key = generateApiKey();
    expect(key.text).toMatch(/^lapse_[0-9A-Za-z]{16}_[0-9A-Za-z]{38}$/);
    expect(parseApiKey(key.text)).toEqual(key);
  }
});

test('a typo in any place is told without asking the database', () => {
  const { text } = generateApiKey();
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.constantFrom(...'0aZ_-é'), (at, wrong) => {
      const typo = text.slice(0, at) + wrong + text.slice(at + 1);
      expect(parseApiKey(typo)).toEqual(typo === text ? parseApiKey(text) : undefined);
    }),
  );
});

test('anything else is no key', () => {
  fc.assert(fc.property(fc.string(), (text) => parseApiKey(text) === undefined));
});

test('secrets are the same only when they are', () => {
  fc.assert(fc.property(fc.string(), fc.string(), (one, other) => sameSecret(one, other) === (one === other)));
});
