import { TIMEOUT_SECONDS } from '../support/fixture.js';

/** SQL: what is overdue, as everybody who drains the watched table asks for it. */
export const IS_OVERDUE = `status = 'suspended' AND updated_at <= now() - interval '${TIMEOUT_SECONDS} seconds'`;

const MERGED = `metadata || jsonb_build_object('failureReason', 'approval_timeout', 'sweepId', gen_random_uuid(),
  'timedOutAt', to_char(now(), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))`;

/** SQL: an UPDATE that wants its WHERE. */
export const TIME_OUT = `UPDATE workflow_executions SET status = 'failed', updated_at = now(), metadata = ${MERGED}`;
