import { setTimeout as delay } from 'node:timers/promises';

/** Asks again and again until the answer is what is wanted; fails with the last answer once the time is up. */
export async function eventually<T>(
  ask: () => Promise<T>,
  isWanted: (answer: T) => boolean,
  withinMs = 15_000,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (isWanted(answer)) {
      return answer;
    }
    if (Date.now() > deadline) {
      throw new Error(`Not within ${withinMs} ms; the last answer was ${JSON.stringify(answer)}`);
    }
    await delay(25);
  }
}
