import { expect, test } from '@jest/globals';
import { LocalQueue } from '../../src/locks/local-queue.js';

type WayOut = () => void;

test('who leaves frees the place at once, so that the next call needn’t be told it is busy', async () => {
  const queue = new LocalQueue();
  const first = (await queue.enter('a', 0)) as WayOut;
  expect(await queue.enter('a', 0)).toBeUndefined();
  expect(await queue.enter('b', 0)).toBeDefined();

  first();
  const again = queue.enter('a', 0);
  expect(await again).toBeDefined();
});

test('those who wait enter in the order in which they came, one at a time', async () => {
  const queue = new LocalQueue();
  const entered: number[] = [];
  const leave = (await queue.enter('a', 0)) as WayOut;
  const waiting = [1, 2, 3].map(async (n) => {
    const leaveInTurn = (await queue.enter('a', 10_000)) as WayOut;
    entered.push(n);
    await new Promise(setImmediate);
    expect(entered.at(-1)).toBe(n);
    leaveInTurn();
  });

  leave();
  await Promise.all(waiting);

  expect(entered).toEqual([1, 2, 3]);
});

test('one that gave up is passed over', async () => {
  const queue = new LocalQueue();
  const leave = (await queue.enter('a', 0)) as WayOut;
  const impatient = queue.enter('a', 1);
  const patient = queue.enter('a', 10_000);

  expect(await impatient).toBeUndefined();
  leave();

  expect(await patient).toBeDefined();
});
