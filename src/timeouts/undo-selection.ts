import type { TenantScope } from '../access/tenant-scope.js';
import type { SweepEntity } from '../sweeps/sweep.entity.js';

/** Which timeouts an undo takes back, within its scope. */
export interface UndoSelection {
  /** The timeouts of this sweep; null for those of all sweeps. */
  sweep: Pick<SweepEntity, 'id' | 'tenantId' | 'startedAt' | 'finishedAt'> | null;
  /** ISO times of what was timed out at or after, and before; null without a sweep is impossible. */
  from: string | null;
  to: string | null;
  projectId: string | null;
  agentId: string | null;
  /** What was timed out later isn't taken back: otherwise an undo could chase what it has reopened. Null: by now. */
  cutoff: string | null;
}

/**
 * The lock under which an undo runs. Undos of one period and scope may overlap, so they have one lock; undos of different
 * sweeps can't. A tenant's lock is its own, so that no tenant waits for another. If two undos meet all the same, row
 * locks keep them apart. A preview changes nothing, so it holds up no undo.
 */
export function undoLockName({ tenantId }: TenantScope, { sweep }: UndoSelection, dryRun: boolean): string {
  const isShare = sweep !== null && tenantId !== sweep.tenantId;
  const ofTenant = tenantId === null ? 'of the platform' : `of tenant ${tenantId}`;
  const name = sweep === null ? `undo ${ofTenant}` : `undo of sweep ${sweep.id}${isShare ? ` ${ofTenant}` : ''}`;
  return dryRun ? `preview of ${name}` : name;
}
