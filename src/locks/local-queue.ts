/** One process's own turnstile before a lock: first come, first served, and no query while waiting. */
export class LocalQueue {
  /** Who waits for each name that somebody is in with; each is told when its turn has come. */
  private readonly waiting = new Map<string, (() => void)[]>();

  /**
   * Enters alone. Hands back the way out, or undefined where the place is taken and didn't come free within `waitMs`.
   */
  async enter(name: string, waitMs: number): Promise<(() => void) | undefined> {
    const wayOut = () => this.leave(name);
    const queue = this.waiting.get(name);
    if (!queue) {
      this.waiting.set(name, []);
      return wayOut;
    }
    if (waitMs <= 0) {
      return undefined;
    }
    return new Promise((resolve) => {
      const onTurn = () => {
        clearTimeout(timer);
        resolve(wayOut);
      };
      const timer = setTimeout(() => {
        queue.splice(queue.indexOf(onTurn), 1);
        resolve(undefined);
      }, waitMs);
      queue.push(onTurn);
    });
  }

  private leave(name: string): void {
    const next = this.waiting.get(name)?.shift();
    if (next) {
      next();
    } else {
      this.waiting.delete(name);
    }
  }
}
