import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { BatchSize } from './batch-size.js';

/** Sweeps rows of which some are guilty, as a sweep would, and tells in how many batches. */
function sweep(guilty: readonly boolean[], largest: number): { isolated: number[]; batches: number } {
  const size = new BatchSize(largest);
  const isolated: number[] = [];
  let batches = 0;
  for (let at = 0; at < guilty.length; batches += 1) {
    const rows = Math.min(size.rows, guilty.length - at);
    const fails = guilty.slice(at, at + rows).includes(true);
    if (!fails) {
      size.succeeded(rows);
      at += rows;
    } else if (rows === 1) {
      isolated.push(at);
      size.isolated();
      at += 1;
    } else {
      size.failed(rows);
    }
  }
  return { isolated, batches };
}

const guiltyRows = fc.array(fc.boolean(), { maxLength: 400 });

test('exactly the guilty rows are isolated, each once', () => {
  fc.assert(
    fc.property(guiltyRows, fc.integer({ min: 1, max: 300 }), (guilty, largest) => {
      const expected = guilty.flatMap((isGuilty, at) => (isGuilty ? [at] : []));
      expect(sweep(guilty, largest).isolated).toEqual(expected);
    }),
  );
});

test('one guilty row among a thousand is found in about two times log2(1000) batches', () => {
  fc.assert(
    fc.property(fc.nat(999), (at) => {
      const guilty = Array.from({ length: 1000 }, (_, index) => index === at);
      expect(sweep(guilty, 1000).batches).toBeLessThanOrEqual(32);
    }),
  );
});

test('a run of guilty rows costs about one batch each', () => {
  expect(sweep(Array(500).fill(true), 1000).batches).toBeLessThanOrEqual(520);
});

test('the size recovers', () => {
  const size = new BatchSize(64);
  size.failed(64);
  for (let rows = 0; rows < 200; rows += size.rows) {
    size.succeeded(size.rows);
  }
  expect(size.rows).toBe(64);
});
