/** The first and the last moment that PostgreSQL, JavaScript and RFC 3339 in UTC can all write, to the millisecond. */
const FIRST_MS = Date.parse('0001-01-01T00:00:00.000Z');
const LAST_MS = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * A moment of the database as RFC 3339. What lies before year 1 or after 9999 becomes the first or the last moment that
 * can be written, as `clamped` does in SQL.
 *
 * @param moment as the driver returns it: infinities are numbers, and what is too late for a Date is an invalid one.
 *   PostgreSQL's first moment is no problem for a Date.
 */
export function rfc3339(moment: Date | number): string {
  const ms = Number(moment);
  return new Date(Number.isNaN(ms) ? LAST_MS : Math.min(Math.max(ms, FIRST_MS), LAST_MS)).toISOString();
}

/** The same for a moment that may be missing. */
export function rfc3339OrNull(moment: Date | number | null): string | null {
  return moment === null ? null : rfc3339(moment);
}

/**
 * RFC 3339 as text that PostgreSQL and JavaScript read alike: UTC, to the microsecond, which is what PostgreSQL keeps.
 *
 * @returns undefined for any other text, such as one with a date that doesn't exist, a leap second, an offset of 16 hours
 *   or more, which PostgreSQL refuses, or a moment outside the years 1 to 9999 in UTC.
 */
export function parseRfc3339(text: string): string | undefined {
  const parts = RFC_3339.exec(text)?.groups;
  if (!parts) {
    return undefined;
  }
  const {
    date,
    time,
    fraction = '',
    offset,
  } = parts as Record<'date' | 'time' | 'offset', string> & { fraction?: string };
  const local = Date.parse(`${date}T${time}Z`);
  // Date.parse takes a 30 February for 2 March.
  if (Number.isNaN(local) || !new Date(local).toISOString().startsWith(`${date}T${time}.`)) {
    return undefined;
  }
  const moment = Date.parse(`${date}T${time}${offset.toUpperCase()}`);
  return moment >= FIRST_MS && moment <= LAST_MS
    ? `${new Date(moment).toISOString().slice(0, -5)}.${fraction.slice(0, 6).padEnd(6, '0')}Z`
    : undefined;
}

const RFC_3339 =
  /^(?<date>\d{4}-\d{2}-\d{2})T(?<time>\d{2}:\d{2}:\d{2})(\.(?<fraction>\d+))?(?<offset>Z|[+-](0\d|1[0-5]):[0-5]\d)$/i;

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
