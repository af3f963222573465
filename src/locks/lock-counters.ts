/** What has happened to a lock in this process since it started. All of them only grow. */
export interface LockCounts {
  /** Times it was asked for. What was neither acquired nor skipped failed: the database was away, or shutdown began. */
  attempts: number;
  acquired: number;
  /** Times somebody else held it, and went on holding it for as long as the caller would wait. */
  skipped: number;
  /** Times it was acquired and ended before its work did. */
  lost: number;
  heldSeconds: number;
}

export class LockCounters {
  private readonly counts = new Map<string, LockCounts>();

  of(name: string): LockCounts {
    let counts = this.counts.get(name);
    if (!counts) {
      counts = { attempts: 0, acquired: 0, skipped: 0, lost: 0, heldSeconds: 0 };
      this.counts.set(name, counts);
    }
    return counts;
  }

  all(): ReadonlyMap<string, Readonly<LockCounts>> {
    return this.counts;
  }
}
