const REMIND_EVERY_MS = 10 * 60_000;

/** So that messages which never repeat, for example with a number in them, don't fill the log either. */
const MAX_TEXTS = 5;

/** A series of the same trouble: what of it belongs in the log. */
export class RepeatedWarning {
  private readonly texts = new Set<string>();
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
   * Counts an occurrence. Returns true if it should be logged: the first one, one with a new text, and one every ten
   * minutes.
   *
   * @param now milliseconds of a clock that never goes back.
   */
  occurred(text: string, now: number = performance.now()): boolean {
    this.first ??= new Date();
    this.occurrences += 1;
    const isNew = !this.texts.has(text) && this.texts.size < MAX_TEXTS;
    if (!isNew && now - this.loggedAt < REMIND_EVERY_MS) {
      return false;
    }
    this.texts.add(text);
    this.loggedAt = now;
    return true;
  }

  end(): void {
    this.texts.clear();
    this.loggedAt = Number.NEGATIVE_INFINITY;
    this.first = undefined;
    this.occurrences = 0;
  }
}
