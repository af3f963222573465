import type { WatchedTable } from '../executions/watched-table.js';

/** SQL: the members that a timeout puts into an execution's metadata. */
export const MARKERS = `'{failureReason,timedOutAt,sweepId}'::pg_catalog.text[]`;

/** SQL: whether metadata says that the execution was timed out; NULL where it has no reason of a failure. */
export function isTimedOut(metadata: string): string {
  return `${metadata} ->> 'failureReason' = 'approval_timeout'`;
}

/** SQL: metadata as something that markers can be merged into. What is no object is kept under `previousMetadata`. */
export function asObject(metadata: string): string {
  return `CASE WHEN ${metadata} IS NULL THEN '{}'::jsonb
               WHEN jsonb_typeof(${metadata}) = 'object' THEN ${metadata}
               ELSE jsonb_build_object('previousMetadata', ${metadata}) END`;
}

/**
 * What every execution of a batch gets, worked out once: its `metadata` is merged into what the host keeps there. The
 * ids of the ledger rows are UUIDv7 with a counter: 60 random bits that the batch draws once, and in them room to count
 * to 2^14. So they keep the order of the sweep, and cost less than a random one each.
 */
export function momentSql(watched: WatchedTable, schema: string, sweepId: string): string {
  return `
    SELECT ${watched.asUpdatedAt('statement_timestamp()')} AS updated_at,
           jsonb_build_object(
             'failureReason', 'approval_timeout',
             'timedOutAt', to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
             'sweepId', ${sweepId}) AS metadata,
           (SELECT trigger FROM ${schema}.sweeps WHERE id = ${sweepId}) AS trigger,
           left(drawn.id::text, 24) AS id_prefix,
           ('x' || right(drawn.id::text, 12))::bit(48)::bigint & ~16383::bigint AS id_start
      FROM (SELECT ${schema}.uuid_v7() AS id) drawn`;
}

/**
 * Metadata that can't be had back by taking our markers away, as a list of the one value, of none where it was NULL;
 * NULL for all other. That of an object is kept where markers would replace members of the host's own.
 */
export function unrestorable(metadata: string): string {
  return `CASE WHEN ${metadata} IS NULL THEN '[]'::jsonb
               WHEN jsonb_typeof(${metadata}) <> 'object'
                 OR (${metadata} ?| ${MARKERS} AND NOT coalesce(${isTimedOut(metadata)}, false))
               THEN jsonb_build_array(${metadata}) END`;
}
