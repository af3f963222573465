const MILLISECONDS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

type DurationUnit = keyof typeof MILLISECONDS;

/** A length of time as people write it: `500ms`, `90s`, `30m`, `2h`, `1d`. */
export type Duration = `${number}${DurationUnit}`;

/**
 * Reads a duration.
 *
 * @returns milliseconds, or undefined where the text is not a whole number followed by one of `ms`, `s`, `m`, `h`, `d`.
 */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text);
  return match ? Number(match[1]) * MILLISECONDS[match[2] as DurationUnit] : undefined;
}

/** Bounds of a timeout, wherever one is configured, requested or searched by. */
export const MIN_TIMEOUT: Duration = '1s';
export const MAX_TIMEOUT: Duration = '3650d';

/** Completes the sentence "must be …" for what `wholeSeconds` accepts. */
export function wholeSecondsAllowed(least: Duration, most: Duration): string {
  return `a duration of whole seconds from ${least} to ${most}, such as 90s, 30m or 2h`;
}

/**
 * Reads a duration within bounds.
 *
 * @returns seconds, or undefined if the text is no duration, is out of bounds or has a fraction of a second.
 */
export function wholeSeconds(text: string, least: Duration, most: Duration): number | undefined {
  const ms = parseDuration(text) ?? Number.NaN;
  return ms % 1000 === 0 && ms >= milliseconds(least) && ms <= milliseconds(most) ? ms / 1000 : undefined;
}

/** Milliseconds of a duration that the compiler has already checked. */
export function milliseconds(duration: Duration): number {
  const parsed = parseDuration(duration);
  if (parsed === undefined) {
    throw new RangeError(
      `"${duration}" is not a duration; write a whole number and a unit, such as 500ms, 90s, 30m, 2h`,
    );
  }
  return parsed;
}

/** The shortest exact way to write milliseconds: 90000 → `90s`, 1800000 → `30m`. */
export function formatDuration(ms: number): Duration {
  const unit = (['d', 'h', 'm', 's'] as const).find((name) => ms > 0 && ms % MILLISECONDS[name] === 0) ?? 'ms';
  return `${ms / MILLISECONDS[unit]}${unit}`;
}
