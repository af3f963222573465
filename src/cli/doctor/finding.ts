/** What one check found. */
export interface Finding {
  check: string;
  /** `warn`: Lapse works, and something is to be known or done. `fail`: it doesn't work. `skip`: it couldn't be looked at. */
  verdict: 'ok' | 'warn' | 'fail' | 'skip';
  seen: string;
  /** What to do; null where there is nothing to do. */
  remedy: string | null;
}

export type Outcome = Omit<Finding, 'check'>;

export const ok = (seen: string): Outcome => ({ verdict: 'ok', seen, remedy: null });
export const warn = (seen: string, remedy: string): Outcome => ({ verdict: 'warn', seen, remedy });
export const fail = (seen: string, remedy: string): Outcome => ({ verdict: 'fail', seen, remedy });
export const skip = (seen: string): Outcome => ({ verdict: 'skip', seen, remedy: null });
