import type { Caller } from '../access/principal.js';
import type { TenantScope } from '../access/tenant-scope.js';
import type { Duration } from '../config/duration.js';
import type { Capacity } from '../database/capacity.js';
import type { Trigger } from './sweep.entity.js';

/** What a sweep is to do, before it runs. */
export interface SweepPlan {
  trigger: Trigger;
  scope: TenantScope;
  /** Null: every project, every agent. */
  projectId: string | null;
  agentId: string | null;
  timeoutSeconds: number;
  /** How many executions it may deal with, oldest first; null for all. */
  limit: number | null;
  /** Counts, and changes nothing. */
  dryRun: boolean;
  reason: string | null;
  /** Undefined for the schedule. */
  requestedBy: Caller | undefined;
  /** In milliseconds; what is left then is the next tick's. Null: runs until it is done. */
  timeBudget: number | null;
  /** The lock under which it runs: see `sweepLockName`. */
  lockName: string;
  /** Whose connections of the pool its batches use. */
  capacity: Extract<Capacity, 'schedule' | 'sweeps'>;
  /** Keeps the lock at least this long, so that a replica whose clock is late by less doesn't sweep again. */
  keepLockFor: Duration;
}

/** The lock of the schedule, and of requested sweeps that do all that the schedule would do. */
export const SCHEDULE_LOCK = 'sweep';

/**
 * The lock that keeps sweeps of one scope from overlapping. A tenant's is its own, so that no tenant waits for another or
 * learns from a refusal that another exists. A requested sweep of the platform shares the schedule's lock only if it does
 * all that the schedule would do; a narrower one never keeps the schedule from running. If two sweeps meet, row locks
 * keep them apart.
 *
 * @param scheduledTimeoutSeconds the timeout by which the schedule sweeps.
 */
export function sweepLockName(plan: Omit<SweepPlan, 'lockName'>, scheduledTimeoutSeconds: number): string {
  const { scope, projectId, agentId, limit, dryRun, timeoutSeconds } = plan;
  if (scope.tenantId !== null) {
    return `sweep of tenant ${scope.tenantId}`;
  }
  const isWhole = projectId === null && agentId === null && limit === null && !dryRun;
  return isWhole && timeoutSeconds <= scheduledTimeoutSeconds ? SCHEDULE_LOCK : 'narrower sweep';
}
