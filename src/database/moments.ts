/** Types of the columns that hold moments; without a zone they mean UTC. */
export type MomentType = 'timestamptz' | 'timestamp';

const FIRST = '0001-01-01 00:00:00';
const LAST = '9999-12-31 23:59:59.999';

/**
 * SQL: a moment as ISO 8601 can write it, with four digits for the year: what lies before or after, infinities included,
 * becomes the first or the last such moment. Arithmetic on it can't overflow; a sum has to be clamped again. NULL stays
 * NULL, which greatest() and least() alone would skip.
 *
 * @param moment an expression that costs nothing, such as a column: it is evaluated twice.
 * @param plus an interval in SQL, not negative, that is added.
 */
export function clamped(moment: string, type: MomentType = 'timestamptz', plus?: string): string {
  const zone = type === 'timestamptz' ? '+00' : '';
  const [first, last] = [FIRST, LAST].map((limit) => `'${limit}${zone}'::${type}`);
  const inRange = `least(greatest(${moment}, ${first}), ${last})`;
  const value = plus === undefined ? inRange : `least(${inRange} + ${plus}, ${last})`;
  return `CASE WHEN ${moment} IS NOT NULL THEN ${value} END`;
}
