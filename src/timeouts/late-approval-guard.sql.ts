import { asObject, isTimedOut, MARKERS } from '../sweeps/timeout-markers.js';

/** Sorts behind the host's own triggers. */
export const GUARD_TRIGGER = 'zz_lapse_guard';

/** What the guard raises. Of a class that is no standard one's, so that a host can tell it from everything else. */
export const GUARD_SQLSTATE = 'LP001';

/** One statement, and the right that it needs. */
export interface GuardStatement {
  sql: string;
  right: string;
}

/**
 * The body of the trigger's function. It runs with the rights of whoever updates, so it touches nothing but the row, and
 * with their search path: the host's own triggers fire again where it puts the markers back, and look for their tables. An
 * update that leaves the execution failed passes, and the timeout's markers are put back where it replaced the metadata.
 */
export const GUARD_BODY = `
DECLARE
  markers jsonb;
BEGIN
  IF NOT coalesce(${isTimedOut('OLD.metadata')}, false)
     OR current_setting('lapse.reopening', true) = 'on' THEN
    RETURN NULL;
  END IF;
  IF NEW.status IS DISTINCT FROM 'failed' THEN
    RAISE EXCEPTION 'Execution "%" of tenant "%" timed out waiting for approval at % and can not become "%"',
        OLD.id, OLD.tenant_id, OLD.metadata ->> 'timedOutAt', NEW.status
      USING ERRCODE = '${GUARD_SQLSTATE}',
            DETAIL = format('Nobody approved it before its deadline; sweep %s of Lapse failed it.', OLD.metadata ->> 'sweepId'),
            HINT = format('An operator can take that back with POST /v1/timeouts/{timeoutId}/reopen; GET /v1/sweeps/%s/timeouts tells its id.', OLD.metadata ->> 'sweepId');
  END IF;
  markers := (SELECT jsonb_object_agg(key, value) FROM jsonb_each(OLD.metadata)
               WHERE key = ANY (${MARKERS}));
  IF NEW.metadata @> markers THEN
    RETURN NULL;
  END IF;
  EXECUTE format('UPDATE %I.%I SET metadata = $1 WHERE tenant_id = $2 AND project_id = $3 AND id = $4', TG_TABLE_SCHEMA, TG_TABLE_NAME)
    USING ${asObject('NEW.metadata')} || markers,
          NEW.tenant_id, NEW.project_id, NEW.id;
  RETURN NULL;
END
`;

/** @param schema Lapse's, quoted. @param table the watched one, qualified and quoted. */
export function installGuard(schema: string, table: string): GuardStatement[] {
  return [
    {
      right: `CREATE on schema ${schema}`,
      sql: `CREATE OR REPLACE FUNCTION ${guardFunction(schema)} RETURNS trigger LANGUAGE plpgsql
  AS $guard$${GUARD_BODY}$guard$`,
    },
    {
      right: `TRIGGER on table ${table}`,
      // The condition is looked at before the function is called, and every statement that updates has to read it first:
      // so it is as short as can be. A trigger that fires before the update would have the server lock each row, which
      // is written to its log; this one fires after, on what is really stored, and its error undoes the update.
      sql: `CREATE OR REPLACE TRIGGER ${GUARD_TRIGGER} AFTER UPDATE ON ${table} FOR EACH ROW
  WHEN (OLD.status = 'failed')
  EXECUTE FUNCTION ${guardFunction(schema)}`,
    },
  ];
}

export function removeGuard(schema: string, table: string): GuardStatement[] {
  return [
    { right: `to own table ${table}`, sql: `DROP TRIGGER IF EXISTS ${GUARD_TRIGGER} ON ${table}` },
    { right: `to own function ${guardFunction(schema)}`, sql: `DROP FUNCTION IF EXISTS ${guardFunction(schema)}` },
  ];
}

/** How long a statement may wait for the table, on which everybody else would wait behind it. */
export const GUARD_LOCK_TIMEOUT = `SET LOCAL lock_timeout = '1s'`;

/** For somebody else to run. */
export function asScript(statements: readonly GuardStatement[]): string {
  return ['BEGIN', GUARD_LOCK_TIMEOUT, ...statements.map(({ sql }) => sql), 'COMMIT']
    .map((sql) => `${sql};\n`)
    .join('');
}

function guardFunction(schema: string): string {
  return `${schema}.guard_timeouts()`;
}
