import type { Caller } from '../access/principal.js';
import type { TenantScope } from '../access/tenant-scope.js';
import type { Duration } from '../config/duration.js';
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
  /** Keeps the lock at least this long, so that a replica whose clock is late by less doesn't sweep again. */
  keepLockFor: Duration;
}

/**
 * The lock that keeps sweeps of one scope from overlapping. A tenant's is its own: no tenant waits for another, learns
 * from a refusal that another exists, or keeps the schedule from running. Where a tenant's sweep and the platform's
 * meet, row locks keep them apart.
 */
export function sweepLockName(scope: TenantScope): string {
  return scope.tenantId === null ? 'sweep' : `sweep of tenant ${scope.tenantId}`;
}
