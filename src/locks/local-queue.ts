/** One process's own turnstile before a lock: first come, first served, and no query while waiting. */
export class LocalQueue {
  private readonly tails = new Map<string, Promise<void>>();

  /**
   * Enters alone. Hands back the way out, or undefined where the place is taken and didn't come free within `waitMs`.
   */
  async enter(name: string, waitMs: number): Promise<(() => void) | undefined> {
    const before = this.tails.get(name);
    if (before && waitMs <= 0) {
      return undefined;
    }
    let leave: () => void = () => undefined;
    const turn = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const tail = (before ?? Promise.resolve()).then(() => turn);
    this.tails.set(name, tail);
    void tail.then(() => {
      if (this.tails.get(name) === tail) {
        this.tails.delete(name);
      }
    });
    if (before && !(await settlesWithin(before, waitMs))) {
      leave();
      return undefined;
    }
    return leave;
  }
}

async function settlesWithin(promise: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const settled = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return settled;
}
