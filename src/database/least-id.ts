/** How far the time in an id may be from the times of its row: a batch begins earlier, and clocks of two servers differ. */
const ID_TOLERANCE = `interval '1 minute'`;

/** SQL: keeps what may be of a moment or later to a range of ids, which an index serves; the row's own time decides. */
export function idSince(id: string, moment: string): string {
  return `${id} >= ${leastIdAt(`${moment} - ${ID_TOLERANCE}`)}`;
}

/** The same for what may be of an earlier moment. */
export function idBefore(id: string, moment: string): string {
  return `${id} < ${leastIdAt(`${moment} + ${ID_TOLERANCE}`)}`;
}

/** SQL: the least UUIDv7 of a moment, so that ids of ours can be told by their time. @param moment a timestamptz in SQL */
export function leastIdAt(moment: string): string {
  return `(lpad(to_hex(greatest(extract(epoch FROM ${moment}) * 1000, 0)::bigint), 12, '0') || repeat('0', 20))::uuid`;
}
