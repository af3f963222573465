import { Semaphore, withTimeout } from 'async-mutex';
import type { DataSource } from 'typeorm';
import { DatabaseBusyError } from './database.errors.js';

/**
 * How many pooled connections each kind of work may use at once. No kind can use up another's share: slow reads of the
 * watched table and many requested sweeps leave the schedule, health checks and short statements their connections.
 */
const SHARES = {
  health: 1,
  schedule: 2,
  housekeeping: 1,
  /** Short statements on Lapse's own tables: keys, records, cursors, audit log. */
  records: 4,
  'watched-reads': 3,
  /** Batches and searches of requested sweeps and undos. */
  sweeps: 9,
} as const;

export type Capacity = keyof typeof SHARES;

/** One connection for each place in a share, so that whoever has a place never waits for a connection. */
export const POOL_SIZE = Object.values(SHARES).reduce((sum, share) => sum + share, 0);

const WAIT_TIMEOUT_MS = 5_000;

const semaphores = new WeakMap<DataSource, Map<Capacity, ReturnType<typeof semaphoreOf>>>();

/**
 * Runs `work` while it holds a place in a share of the pool.
 *
 * @throws DatabaseBusyError if no place becomes free within five seconds.
 */
export function withCapacity<T>(dataSource: DataSource, capacity: Capacity, work: () => Promise<T>): Promise<T> {
  const ofDataSource = semaphores.get(dataSource) ?? new Map();
  semaphores.set(dataSource, ofDataSource);
  const semaphore = ofDataSource.get(capacity) ?? semaphoreOf(capacity);
  ofDataSource.set(capacity, semaphore);
  return semaphore.runExclusive(work);
}

function semaphoreOf(capacity: Capacity) {
  return withTimeout(new Semaphore(SHARES[capacity]), WAIT_TIMEOUT_MS, new DatabaseBusyError(capacity));
}
