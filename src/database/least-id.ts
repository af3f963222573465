/** SQL: the least UUIDv7 of a moment, so that ids of ours can be told by their time. @param moment a timestamptz in SQL */
export function leastIdAt(moment: string): string {
  return `(lpad(to_hex(greatest(extract(epoch FROM ${moment}) * 1000, 0)::bigint), 12, '0') || repeat('0', 20))::uuid`;
}
