import type { Report } from './report/report.js';
import type { BenchServer } from './support/server.js';

/** One part of what we claim about speed. Everything that it compares is measured in turn, in one run of it. */
export interface Measure<Sizes extends object> {
  /** What the claims are about. */
  full: Sizes;
  /** Shows that the part works; its figures mean nothing. */
  quick: Sizes;
  take(server: BenchServer, sizes: Sizes, report: Report): Promise<void>;
}
