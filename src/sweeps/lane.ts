/** A share of what a sweep or an undo deals with, the same for a row every time: the one numbered `number` of `of`. */
export interface Lane {
  number: number;
  of: number;
}

/** SQL: whether the row with this id falls to a lane. */
export function isInLane({ number, of }: Lane, id: string): string {
  return of === 1 ? 'true' : `abs(hashtext(${id}::text) % ${of}) = ${number}`;
}
