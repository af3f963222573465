/** No body of ours has more levels than three; what walks a value may need a stack frame for each. */
export const MAX_NESTING = 32;

/** Whether arrays and objects are nested in each other more than `MAX_NESTING` levels deep, found without recursion. */
export function isNestedTooDeeply(value: unknown): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_NESTING) {
      return true;
    }
    level = level.flatMap((item) => (typeof item === 'object' && item !== null ? Object.values(item) : []));
  }
  return false;
}
