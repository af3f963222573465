import { MARKERS } from '../sweeps/timeout-markers.js';

/** Sorts behind the host's own triggers, so that it sees what they have made of the row. */
export const GUARD_TRIGGER = 'zz_lapse_guard';

export const GUARD_FUNCTION = 'lapse_guard_timeouts';

/** What the guard raises. Its class is not a standard one, so that a host can tell it from every other error. */
export const GUARD_SQLSTATE = 'LP001';

/** The function's `proconfig`. */
export const GUARD_CONFIG = ['search_path=pg_catalog, pg_temp'];

/**
 * The setting that lets one transaction pass. Its value is the id of that transaction, so one that is left behind in a
 * session, or set for a role or a database, opens nothing.
 */
export const REOPENING_SETTING = 'lapse.reopening_transaction';

/** One statement, and the right that it needs. */
export interface GuardStatement {
  sql: string;
  right: string;
}

/** Both quoted. */
export interface GuardSchemas {
  /** The schema of the watched table, in which the guard's function lives. */
  watched: string;
  /** Lapse's own, which holds the function of an older guard. */
  lapse: string;
}

/**
 * The body of the trigger's function. It runs with the rights of whoever updates, a superuser included, so every
 * function, operator and type is qualified: nothing that somebody puts into a schema of the search path is called.
 *
 * A session keeps an expression of PL/pgSQL with the types that its first call has seen, and refuses it once the host
 * has changed the column's type. So the only field that is named is the status, with a way around it, and the rest works on
 * the whole row as JSON, which has the same type whatever the columns are. A block with EXCEPTION costs less than a
 * microsecond; the whole row as JSON three, and far more where the metadata is large.
 */
export const GUARD_BODY = `
DECLARE
  before pg_catalog.jsonb;
  after pg_catalog.jsonb;
  markers pg_catalog.jsonb;
BEGIN
  -- Nearly every update ends here.
  BEGIN
    IF coalesce(OLD.status::pg_catalog.text OPERATOR(pg_catalog.<>) 'failed', true) THEN
      RETURN NEW;
    END IF;
  EXCEPTION WHEN datatype_mismatch OR undefined_column THEN
    -- The column was altered since this session first came here: the row as JSON tells.
  END;
  before := pg_catalog.to_jsonb(OLD);
  IF NOT coalesce((before OPERATOR(pg_catalog.->>) 'status') OPERATOR(pg_catalog.=) 'failed'
                  AND (before OPERATOR(pg_catalog.->) 'metadata' OPERATOR(pg_catalog.->>) 'failureReason')
                      OPERATOR(pg_catalog.=) 'approval_timeout', false) THEN
    RETURN NEW;
  END IF;
  IF pg_catalog.current_setting('${REOPENING_SETTING}', true)
     OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id()::pg_catalog.text THEN
    RETURN NEW;
  END IF;
  after := pg_catalog.to_jsonb(NEW);
  IF coalesce((after OPERATOR(pg_catalog.->>) 'status') OPERATOR(pg_catalog.<>) 'failed', true) THEN
    RAISE EXCEPTION 'Execution "%" of tenant "%" timed out waiting for approval at % and can not become "%"',
        before OPERATOR(pg_catalog.->>) 'id', before OPERATOR(pg_catalog.->>) 'tenant_id',
        before OPERATOR(pg_catalog.->) 'metadata' OPERATOR(pg_catalog.->>) 'timedOutAt',
        after OPERATOR(pg_catalog.->>) 'status'
      USING ERRCODE = '${GUARD_SQLSTATE}',
            DETAIL = pg_catalog.format('Nobody approved it before its deadline; sweep %s of Lapse failed it.',
              before OPERATOR(pg_catalog.->) 'metadata' OPERATOR(pg_catalog.->>) 'sweepId'),
            HINT = pg_catalog.format('An operator can take that back with POST /v1/timeouts/{timeoutId}/reopen; GET /v1/sweeps/%s/timeouts shows its id.',
              before OPERATOR(pg_catalog.->) 'metadata' OPERATOR(pg_catalog.->>) 'sweepId');
  END IF;
  markers := (SELECT pg_catalog.jsonb_object_agg(member.key, member.value)
                FROM pg_catalog.jsonb_each(before OPERATOR(pg_catalog.->) 'metadata') AS member (key, value)
               WHERE member.key OPERATOR(pg_catalog.=) ANY (${MARKERS}));
  after := after OPERATOR(pg_catalog.->) 'metadata';
  IF NOT coalesce(after OPERATOR(pg_catalog.@>) markers, false) THEN
    NEW.metadata := CASE
                      WHEN pg_catalog.jsonb_typeof(after) OPERATOR(pg_catalog.=) 'object' THEN after
                      WHEN pg_catalog.jsonb_typeof(after) OPERATOR(pg_catalog.=) 'null' THEN '{}'::pg_catalog.jsonb
                      ELSE pg_catalog.jsonb_build_object('previousMetadata', after)
                    END OPERATOR(pg_catalog.||) markers;
  END IF;
  RETURN NEW;
END
`;

/**
 * The trigger has neither a WHEN clause nor a list of columns: either would keep the host from altering the type of the
 * status. It fires before the update, because an update that moves a row to another partition fires no trigger after
 * an update at all, and because the markers can be put back without a second update.
 */
export function installGuard(schemas: GuardSchemas): GuardStatement[] {
  const [table, guard] = [tableIn(schemas), functionIn(schemas)];
  const owned = `membership of the role that owns function ${guard}`;
  return [
    {
      right: `CREATE on schema ${schemas.watched}`,
      sql: `CREATE OR REPLACE FUNCTION ${guard} RETURNS pg_catalog.trigger LANGUAGE plpgsql
  SECURITY INVOKER SET search_path = pg_catalog, pg_temp
  AS $guard$${GUARD_BODY}$guard$`,
    },
    { right: owned, sql: giveToOwner(table, guard) },
    // Firing needs no EXECUTE; but nobody else can make a trigger of it, which would keep it from being dropped.
    { right: owned, sql: `REVOKE ALL ON FUNCTION ${guard} FROM PUBLIC` },
    {
      right: `TRIGGER on table ${table}`,
      sql: `CREATE OR REPLACE TRIGGER ${GUARD_TRIGGER} BEFORE UPDATE ON ${table} FOR EACH ROW
  EXECUTE FUNCTION ${guard}`,
    },
    { right: '', sql: dropOlder(schemas) },
  ];
}

export function removeGuard(schemas: GuardSchemas): GuardStatement[] {
  const [table, guard] = [tableIn(schemas), functionIn(schemas)];
  return [
    {
      right: `membership of the role that owns table ${table}`,
      sql: `DROP TRIGGER IF EXISTS ${GUARD_TRIGGER} ON ${table}`,
    },
    { right: `membership of the role that owns function ${guard}`, sql: `DROP FUNCTION IF EXISTS ${guard}` },
    { right: '', sql: dropOlder(schemas) },
  ];
}

/** How long a statement may wait for the table, on which everybody else would wait behind it. */
export const GUARD_LOCK_TIMEOUT_MS = 1_000;

/** The same for psql, which would otherwise go on after an error, and end with 0. */
export function asPsqlScript(script: string): string {
  return `\\set ON_ERROR_STOP on\n${script}`;
}

/** For another role to run: all of it or nothing. */
export function asScript(statements: readonly GuardStatement[]): string {
  const lockTimeout = `SET LOCAL lock_timeout = '${GUARD_LOCK_TIMEOUT_MS}ms'`;
  return ['BEGIN', lockTimeout, ...statements.map(({ sql }) => sql), 'COMMIT'].map((sql) => `${sql};\n`).join('');
}

/** A function that was there before keeps its owner when it is replaced, so the owner is set each time. */
function giveToOwner(table: string, guard: string): string {
  return `DO $owner$ BEGIN
  EXECUTE pg_catalog.format('ALTER FUNCTION ${guard} OWNER TO %I',
    (SELECT pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c
      WHERE c.oid OPERATOR(pg_catalog.=) '${table}'::pg_catalog.regclass));
END $owner$`;
}

/**
 * The function of an older guard, in Lapse's schema. If another role owns it, it stays behind, and nothing calls it. The
 * catalogue is asked first, because DROP needs USAGE on the schema even if there is nothing to drop.
 */
function dropOlder({ lapse }: GuardSchemas): string {
  return `DO $older$ BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_proc p
              WHERE p.pronamespace OPERATOR(pg_catalog.=) pg_catalog.to_regnamespace('${lapse}')::pg_catalog.oid
                AND p.proname OPERATOR(pg_catalog.=) 'guard_timeouts') THEN
    DROP FUNCTION IF EXISTS ${lapse}.guard_timeouts();
  END IF;
EXCEPTION WHEN insufficient_privilege OR dependent_objects_still_exist THEN
  RAISE NOTICE 'The function of an older guard, ${lapse}.guard_timeouts(), is left behind: %', SQLERRM;
END $older$`;
}

function tableIn({ watched }: GuardSchemas): string {
  return `${watched}.workflow_executions`;
}

function functionIn({ watched }: GuardSchemas): string {
  return `${watched}.${GUARD_FUNCTION}()`;
}
