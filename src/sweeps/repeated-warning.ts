const REMIND_EVERY_MS = 10 * 60_000;

/** So that causes which never repeat, for example messages with a number in them, don't fill the log either. */
const MAX_CAUSES = 5;

/** A series of the same trouble: what of it belongs in the log. */
export class RepeatedWarning {
  private readonly causes = new Set<string>();
  private loggedAt = Number.NEGATIVE_INFINITY;
  private first: Date | undefined;
  private occurrences = 0;

  /** When the series began; undefined if there is none. */
  get since(): Date | undefined {
    return this.first;
  }

  get count(): number {
    return this.occurrences;
  }

  /**
   * Counts an occurrence. Returns true if it should be logged: the first one, one with a new cause, and one every ten
   * minutes.
   *
   * @param now milliseconds of a clock that never goes back.
   */
  occurred(cause: string, now: number = performance.now()): boolean {
    this.first ??= new Date();
    this.occurrences += 1;
    const isNew = !this.causes.has(cause) && this.causes.size < MAX_CAUSES;
    if (!isNew && now - this.loggedAt < REMIND_EVERY_MS) {
      return false;
    }
    this.causes.add(cause);
    this.loggedAt = now;
    return true;
  }

  end(): void {
    this.causes.clear();
    this.loggedAt = Number.NEGATIVE_INFINITY;
    this.first = undefined;
    this.occurrences = 0;
  }
}
