/** The middle and the ends of some figures. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

export function spreadOf(figures: readonly number[]): Spread {
  const sorted = [...figures].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const around = sorted.slice(Math.ceil(middle) - 1, Math.floor(middle) + 1);
  return {
    median: around.reduce((sum, figure) => sum + figure, 0) / around.length,
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
  };
}

/** Round by round, because what disturbs the machine disturbs neighbours in time alike. */
export function ratiosOf(of: readonly number[], to: readonly number[]): Spread {
  return spreadOf(of.map((figure, round) => figure / (to[round] ?? Number.NaN)));
}

/** Times two things that take turns, so that what disturbs the machine disturbs both. @returns the median of each, in milliseconds. */
export async function takeTurns(
  one: () => Promise<unknown>,
  other: () => Promise<unknown>,
  times: number,
): Promise<{ one: number; other: number }> {
  const ones: number[] = [];
  const others: number[] = [];
  for (let time = 0; time < times; time += 1) {
    const start = performance.now();
    await one();
    const between = performance.now();
    await other();
    ones.push(between - start);
    others.push(performance.now() - between);
  }
  return { one: spreadOf(ones).median, other: spreadOf(others).median };
}

/** @param share 0.99 for the 99th percentile. */
export function percentile(figures: readonly number[], share: number): number {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
