/** How much a run does. */
export interface Sizes {
  /** Rows in the watched table of the drain, of which `suspended` are suspended, of which `overdue` are overdue. */
  rows: number;
  suspended: number;
  overdue: number;
  /** Rows in the watched table of the idle measures; all are suspended and none is overdue. */
  waiting: number;
  tenants: number;
  /** How often each contender drains, and the service is measured for memory. */
  rounds: number;
  /** How often each of the idle queries is timed. */
  probes: number;
  /** Seconds between the last tick and the one that is counted as a scheduled one; 0 leaves it out. */
  quiet: number;
  /** How often an empty method is run under a lock. */
  acquisitions: number;
  /** Seconds for which replicas wait for a lock that another one holds. */
  contended: number;
  /** How often each of two routes is called, with and without authentication. */
  calls: number;
  /** How many credentials that open nothing are timed. */
  refusals: number;
  /** Rows in the watched table that is read, a tenth of them suspended; rows of its ledger. */
  readRows: number;
  ledger: number;
  /** How often each of two pages, and one execution, is asked for. */
  pages: number;
  /** Seconds for which each of two routes is polled, each round. */
  pollSeconds: number;
  /** How many updates of the host are timed with the guard, and as many without. */
  updates: number;
}

/** What the claims are about. */
export const FULL: Sizes = {
  rows: 1_000_000,
  suspended: 100_000,
  overdue: 50_000,
  waiting: 1_000_000,
  tenants: 1000,
  rounds: 3,
  probes: 3000,
  quiet: 60,
  acquisitions: 3000,
  contended: 20,
  calls: 10_000,
  refusals: 2_000,
  readRows: 10_000_000,
  ledger: 1_000_000,
  pages: 5_000,
  pollSeconds: 5,
  updates: 20_000,
};

/** Shows that the benchmark works; its figures mean nothing. */
export const QUICK: Sizes = {
  rows: 40_000,
  suspended: 4_000,
  overdue: 2_000,
  waiting: 40_000,
  tenants: 100,
  rounds: 1,
  probes: 200,
  quiet: 0,
  acquisitions: 200,
  contended: 5,
  calls: 500,
  refusals: 200,
  readRows: 40_000,
  ledger: 4_000,
  pages: 200,
  pollSeconds: 1,
  updates: 500,
};
