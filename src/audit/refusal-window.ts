import { LRUCache } from 'lru-cache';

const MAX_REFUSALS = 10_000;

/** Of what one principal is refused with the same code, so many different targets are recorded. */
const MAX_TARGETS = 10;

/**
 * Remembers, on this replica, what was recorded in the last minute, so that a flood of calls doesn't become a flood of
 * rows. Its size is bounded: what was refused longest ago is forgotten first, and recorded again if it comes again.
 */
export class RefusalWindow {
  /** How long a refusal that was recorded keeps the same one from being recorded. */
  windowMs = 60_000;

  private readonly targetsOf = new LRUCache<string, Set<string | null>>({ max: MAX_REFUSALS });

  /**
   * True if this one is to be recorded: the first in its window.
   *
   * @param refused what makes two refusals the same, apart from their target.
   */
  admits(refused: readonly unknown[], target: string | null): boolean {
    const key = JSON.stringify(refused);
    const targets = this.targetsOf.get(key);
    if (!targets) {
      this.targetsOf.set(key, new Set([target]), { ttl: this.windowMs });
      return true;
    }
    if (targets.has(target) || targets.size >= MAX_TARGETS) {
      return false;
    }
    targets.add(target);
    return true;
  }

  /** For one that could not be recorded. */
  forget(refused: readonly unknown[], target: string | null): void {
    this.targetsOf.get(JSON.stringify(refused))?.delete(target);
  }
}
