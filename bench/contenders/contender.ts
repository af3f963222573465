import type { Backlog } from '../support/backlog.js';
import type { BenchServer } from '../support/server.js';

/** A way to time out everything that is overdue in a backlog. */
export interface Contender {
  name: string;
  /** What it works on: a database to be copied. Without it, the watched table with this backlog. */
  createTemplate?(server: BenchServer, backlog: Backlog): Promise<string>;
  /** Without connecting, and without starting a service. */
  drain(databaseUrl: string): Promise<Drain>;
  /** @throws where it did not do what it says, or more. */
  check(databaseUrl: string, backlog: Backlog, timedOut: number): Promise<void>;
}

/** How far it came: everything, or what could be done before it was stopped, which a slow one is after a while. */
export interface Drain {
  milliseconds: number;
  /** Null: all. */
  timedOut: number | null;
}
