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
