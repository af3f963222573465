import { idBefore, idSince } from '../database/least-id.js';
import type { SqlParameters } from '../database/sql-parameters.js';
import type { SweepKind, SweepStatus, Trigger } from './sweep.entity.js';

export interface SweepFilter {
  trigger?: Trigger | undefined;
  status?: SweepStatus | undefined;
  kind?: SweepKind | undefined;
  /** ISO times of what was started at or after, and before. */
  from?: string | undefined;
  to?: string | undefined;
  minTimedOut?: number | undefined;
}

/**
 * SQL: the ledger rows `t` of a tenant whose ids lie between two moments. A tenant's rows of a sweep are found this way, by
 * the index of the tenant, because the index of the sweep leads to all rows of a sweep that may have dealt with a million.
 */
function ledgerOf(tenant: string, from: string, to: string): string {
  return `t.tenant_id = ${tenant} AND ${idSince('t.id', from)}
          AND ${idBefore('t.id', to)}`;
}

/** SQL: the tenant's ledger rows `t` of the sweep `e`. As text, so that no index of the sweep serves the comparison. */
export function timeoutsOfShare(tenant: string): string {
  return `${ledgerOf(tenant, 'e.started_at', 'coalesce(e.finished_at, statement_timestamp())')}
          AND t.sweep_id::text = e.id::text`;
}

/** SQL: FROM, for the outcomes `o` of the tenant's ledger rows in the undo `e`. OFFSET 0 keeps the tenant's rows first. */
export function outcomesOfShare(schema: string, tenant: string): string {
  return `(SELECT t.id FROM ${schema}.timeouts t WHERE ${ledgerOf(tenant, 'e.undo_from', 'e.undo_to')} OFFSET 0) t
          CROSS JOIN LATERAL (SELECT o.outcome FROM ${schema}.undo_outcomes o
                               WHERE o.undo_id = e.id AND o.timeout_id = t.id OFFSET 0) o`;
}

/** SQL: whether the sweep `e` is an undo. */
export const IS_UNDO = '(e.undoes IS NOT NULL OR e.undo_from IS NOT NULL)';

/**
 * SQL: the tenant's failures `f` that were last tried by the sweep `e`. The tenant is compared so that no index serves it: a
 * tenant may have more failures than a sweep.
 */
export function failuresOfShare(tenant: string): string {
  return `f.last_sweep_id = e.id AND f.tenant_id || '' = ${tenant}`;
}

/**
 * SQL: whether an execution of the tenant failed in the sweep `e`, and no later sweep has tried it again. The order leaves the
 * planner the index of the sweep and the tenant alone, whatever the statistics say.
 */
function hasFailed(schema: string, tenant: string): string {
  return `EXISTS (SELECT FROM (SELECT f.tenant_id FROM ${schema}.failures f
                                WHERE f.last_sweep_id = e.id AND f.tenant_id >= ${tenant}
                                ORDER BY f.tenant_id LIMIT 1) f WHERE f.tenant_id = ${tenant})`;
}

/** SQL: whether the sweep `e`, of the platform, has touched the tenant. */
export function hasTouched(schema: string, tenant: string): string {
  return `NOT e.dry_run AND
          CASE WHEN ${IS_UNDO} THEN EXISTS (SELECT FROM ${outcomesOfShare(schema, tenant)})
               ELSE EXISTS (SELECT FROM ${schema}.timeouts t WHERE ${timeoutsOfShare(tenant)})
                 OR ${hasFailed(schema, tenant)} END`;
}

/** SQL: whether the sweep `e` did anything at all, by its own counts, which costs nothing to see. */
const DID_ANYTHING = `(e.timed_out > 0 OR e.failed > 0 OR ${IS_UNDO})`;

/** SQL: FROM, for the tenant's own sweeps and the platform's. Each part has the order of a page, by an index of its own. */
export function sweepsAround(schema: string, tenant: string): string {
  return `((SELECT * FROM ${schema}.sweeps WHERE tenant_id = ${tenant} ORDER BY id DESC)
           UNION ALL
           (SELECT * FROM ${schema}.sweeps WHERE tenant_id IS NULL ORDER BY id DESC))`;
}

/**
 * SQL: conditions on the sweep `e` for a page of a list. In a tenant's list they look at the tenant's share of a sweep of
 * the platform, never at the whole: a filter must not tell what an answer hides.
 *
 * @param tenant SQL: whose list it is; undefined for the platform's, which has all sweeps.
 */
export function sweepConditions(
  schema: string,
  tenant: string | undefined,
  { trigger, status, kind, from, to, minTimedOut }: SweepFilter,
  parameters: SqlParameters,
): { served: string[]; unserved: string[] } {
  const at = (moment: string) => `${parameters.add(moment)}::timestamptz`;
  const served: string[] = [];
  const unserved: string[] = [];
  if (kind === 'undo') {
    served.push(IS_UNDO);
  }
  if (from !== undefined) {
    served.push(idSince('e.id', at(from)));
    unserved.push(`e.started_at >= ${at(from)}`);
  }
  if (to !== undefined) {
    served.push(idBefore('e.id', at(to)));
    unserved.push(`e.started_at < ${at(to)}`);
  }
  if (kind === 'timeout') {
    unserved.push(`NOT ${IS_UNDO}`);
  }
  if (trigger !== undefined) {
    unserved.push(`e.trigger = ${parameters.add(trigger)}`);
  }
  if (minTimedOut !== undefined) {
    const least = `${parameters.add(minTimedOut)}::int`;
    unserved.push(`e.timed_out >= ${least}`);
    if (tenant !== undefined) {
      unserved.push(`(e.tenant_id IS NOT NULL OR ${IS_UNDO} OR ${least} <= (
        SELECT count(*) FROM (SELECT FROM ${schema}.timeouts t WHERE ${timeoutsOfShare(tenant)} LIMIT ${least}) own))`);
    }
  }
  if (status !== undefined) {
    unserved.push(`${tenant === undefined ? 'e.status' : shownStatus(schema, tenant)} = ${parameters.add(status)}`);
  }
  if (tenant !== undefined) {
    unserved.push(`(e.tenant_id IS NOT NULL OR (${DID_ANYTHING} AND ${hasTouched(schema, tenant)}))`);
  }
  return { served, unserved };
}

/** SQL: the status as `asShare` shows it to the tenant. */
function shownStatus(schema: string, tenant: string): string {
  const failed = `CASE WHEN ${IS_UNDO}
                       THEN EXISTS (SELECT FROM ${outcomesOfShare(schema, tenant)} WHERE o.outcome = 'failed')
                       ELSE ${hasFailed(schema, tenant)} END`;
  return `CASE WHEN e.tenant_id IS NOT NULL OR e.status NOT IN ('succeeded', 'partial') THEN e.status
               WHEN e.status = 'partial' AND ${failed} THEN 'partial' ELSE 'succeeded' END`;
}
