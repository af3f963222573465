import type { Spread } from '../support/statistics.js';

/** What one measure found, as it is kept in `bench/results`. */
export interface Result {
  measure: string;
  startedAt: string;
  machine: string;
  /** Load average of the machine when it began, to tell whether somebody else was at work; null where it wasn't kept. */
  load: number | null;
  database: string;
  sizes: Record<string, unknown>;
  lines: Line[];
  series: Series[];
}

/** A row of the table: the median of some figures, and their ends. */
export interface Line extends Spread {
  measure: string;
  unit: string;
  target?: Target;
  met?: boolean;
}

/** What we claim a figure to be; it is held against the median. */
export type Target = { atLeast: number } | { atMost: number };

/** Points of a picture. */
export interface Series {
  name: string;
  points: [x: number, y: number][];
}
