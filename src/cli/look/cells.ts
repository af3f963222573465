/** A time in UTC: the hour if it is of today, else the date too. */
export function timeOf(moment: string | null): string {
  if (moment === null) {
    return '-';
  }
  const isToday = moment.slice(0, 10) === new Date().toISOString().slice(0, 10);
  return isToday ? moment.slice(11, 19) : `${moment.slice(0, 10)} ${moment.slice(11, 16)}`;
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
] as const;

/** How long ago a time was, in its two largest units: `3h 12m`. */
export function ageOf(moment: string | null): string {
  if (moment === null) {
    return '-';
  }
  let seconds = Math.max(0, Math.floor((Date.now() - Date.parse(moment)) / 1000));
  const parts = UNITS.map(([unit, length]) => {
    const count = Math.floor(seconds / length);
    seconds -= count * length;
    return { count, text: `${count}${unit}` };
  });
  const first = parts.findIndex(({ count }) => count > 0);
  const shown = first === -1 ? parts.slice(-1) : parts.slice(first, first + 2).filter(({ count }) => count > 0);
  return shown.map(({ text }) => text).join(' ');
}

export function orDash(text: string | number | null | undefined): string {
  return text === null || text === undefined ? '-' : String(text);
}
