import { shortened } from '../database/bounded-page.js';

/** A tool call that waits for approval, as far as the host says it in a form that can be understood. */
export interface StoredToolApproval {
  toolCallId: string;
  toolName: string;
  /** Null if the host doesn't say. */
  isDelegated: boolean | null;
  /** Any JSON, as PostgreSQL writes it; null if it was left out because of its size, or there is none. */
  args: string | null;
  argsBytes: number | null;
}

/** A list leaves larger arguments out. The whole is for those who ask for one execution. */
const LISTED_ARGS_BYTES = 16 * 1024;

/** SQL: whether `call` can be understood: a list shows no other, and no filter finds one. */
const IS_UNDERSTOOD = `jsonb_typeof(call -> 'toolCallId') = 'string' AND jsonb_typeof(call -> 'toolName') = 'string'
       AND coalesce(jsonb_typeof(call -> 'isDelegated'), 'boolean') = 'boolean'`;

/** SQL: the name of the tool of `metadata.pendingToolApproval`; NULL if that can't be understood. */
export function pendingToolName(metadata: string): string {
  return `(
    SELECT call ->> 'toolName' FROM (SELECT ${metadata} -> 'pendingToolApproval' AS call OFFSET 0) stored
     WHERE ${IS_UNDERSTOOD})`;
}

/**
 * SQL: what `metadata.pendingToolApproval` says, as the JSON of a `StoredToolApproval`; NULL if it can't be understood.
 * The arguments are in it as text, which no JavaScript parses. They are read from the row once, since each reading of a
 * large value unpacks all of it.
 *
 * @param detail `list` leaves large arguments out, and cuts names.
 */
export function toolApproval(metadata: string, detail: 'list' | 'whole'): string {
  const text = (value: string) => (detail === 'list' ? shortened(value) : value);
  const args = detail === 'list' ? `CASE WHEN octet_length(args) <= ${LISTED_ARGS_BYTES} THEN args END` : 'args';
  return `(
    SELECT json_build_object('toolCallId', ${text(`call ->> 'toolCallId'`)}, 'toolName', ${text(`call ->> 'toolName'`)},
             'isDelegated', (call ->> 'isDelegated')::boolean,
             'args', ${args}, 'argsBytes', octet_length(args))
      FROM (SELECT call, (call -> 'args')::text AS args
              FROM (SELECT ${metadata} -> 'pendingToolApproval' AS call OFFSET 0) stored OFFSET 0) approval
     WHERE ${IS_UNDERSTOOD})`;
}
