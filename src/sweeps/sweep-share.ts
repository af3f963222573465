import { kindOf, type SweepEntity } from './sweep.entity.js';

/** What a sweep of the platform did to one tenant. */
export interface ShareCounts {
  timedOut: number;
  failed: number;
  reopened: number;
  changedSince: number;
  gone: number;
  alreadyReopened: number;
}

/** A sweep as its reader may see it: the whole sweep, or a tenant's share of a platform sweep. */
export type VisibleSweep = SweepEntity & {
  /** The tenant whose share it is; null for the whole sweep. */
  shareOf: string | null;
};

export function asWhole(sweep: SweepEntity): VisibleSweep {
  return { ...sweep, shareOf: null };
}

/**
 * A tenant's share of a sweep of the platform: its own counts, and nothing that says anything about other tenants or was
 * written for the platform's operators. Skipped executions aren't recorded by tenant, so none is counted.
 */
export function asShare(sweep: SweepEntity, tenantId: string, counts: ShareCounts): VisibleSweep {
  const isPartial = sweep.status === 'succeeded' || sweep.status === 'partial';
  return {
    ...sweep,
    ...counts,
    skipped: 0,
    status: isPartial ? (counts.failed > 0 ? 'partial' : 'succeeded') : sweep.status,
    limit: null,
    expected: null,
    reason: null,
    error: null,
    requestedBy: sweep.trigger === 'schedule' ? sweep.requestedBy : 'platform',
    shareOf: tenantId,
  };
}

/** At most how many ledger rows belong to a tenant's share: as many as the whole sweep dealt with. */
export function largestShare(sweep: SweepEntity): number {
  const { timedOut, reopened, changedSince, gone, alreadyReopened, failed } = sweep;
  return kindOf(sweep) === 'timeout' ? timedOut : reopened + changedSince + gone + alreadyReopened + failed;
}
