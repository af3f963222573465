import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import type { RunEnd } from './batched-run.js';
import { inLanes } from './sweep-lanes.js';

const never = new AbortController().signal;

async function untilTold(signal: AbortSignal): Promise<RunEnd> {
  await once(signal, 'abort');
  return 'stopped';
}

test('lanes have numbers of their own, and all are waited for', async () => {
  const seen: number[] = [];
  const end = await inLanes(3, never, async ({ number, of }) => {
    await new Promise(setImmediate);
    seen.push(number);
    return of === 3 ? 'done' : 'cancelled';
  });
  expect([seen, end]).toEqual([[0, 1, 2], 'done']);
});

test('one lane that did not come to its end makes that the end of all', async () => {
  expect(await inLanes(2, never, async ({ number }) => (number === 1 ? 'cancelled' : 'done'))).toBe('cancelled');
});

test('where one lane breaks off the others are told to stop, and its error is thrown', async () => {
  const ended: string[] = [];
  const lanes = inLanes(2, never, async ({ number }, signal) => {
    if (number === 0) {
      throw new Error('the database is gone');
    }
    ended.push(await untilTold(signal));
    return 'stopped';
  });
  await expect(lanes).rejects.toThrow('the database is gone');
  expect(ended).toEqual(['stopped']);
});

test('what stops the sweep stops every lane', async () => {
  const sweep = new AbortController();
  const lanes = inLanes(2, sweep.signal, (_, signal) => untilTold(signal));
  sweep.abort();
  expect(await lanes).toBe('stopped');
});
