import { beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { type GuardedTable, useGuardedTables } from './support/guarded-table.js';
import { ADA } from './support/people.js';

const tables = useGuardedTables();

/** Roles that are dropped after the test; each may log in with its own name. */
async function roles<Name extends string>(table: GuardedTable, ...names: Name[]): Promise<Record<Name, string>> {
  const made = Object.fromEntries(names.map((name) => [name, `${name}_${process.pid}`])) as Record<Name, string>;
  for (const role of Object.values<string>(made)) {
    await table.sql(`CREATE ROLE ${role} LOGIN PASSWORD '${role}'`);
    tables.cleanUp(() => table.sql(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`));
  }
  return made;
}

function urlOf(role: string): string {
  return Object.assign(new URL(tables.databaseUrl), { username: role, password: role }).href;
}

async function as(role: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: urlOf(role) });
  await client.connect();
  await client.query(text).finally(() => client.end());
}

/** What Lapse needs of a host's table, and of its own. */
function grantsTo(role: string, schema: string): string {
  return `GRANT USAGE ON SCHEMA ${schema}, lapse TO ${role}; GRANT ALL ON ALL TABLES IN SCHEMA lapse TO ${role};
          GRANT SELECT, UPDATE ON ${schema}.workflow_executions TO ${role}`;
}

async function ownerOf(table: GuardedTable): Promise<{ owner: string; acl: string }> {
  const { rows } = await table.sql(
    `SELECT pg_get_userbyid(proowner) AS owner, proacl::text AS acl FROM pg_proc WHERE oid = $1::regprocedure`,
    [`${table.schema}.lapse_guard_timeouts()`],
  );
  return rows[0];
}

describe('the function belongs to the owner of the table', () => {
  let table: GuardedTable;
  let role: Record<'owner' | 'lapse', string>;

  beforeEach(async () => {
    table = await tables.make();
    role = await roles(table, 'owner', 'lapse');
    await table.sql(`ALTER SCHEMA ${table.schema} OWNER TO ${role.owner}; ALTER TABLE workflow_executions OWNER TO ${role.owner};
                     ${grantsTo(role.lapse, table.schema)}`);
  });

  test('a role that may create triggers and functions, and is not its member, is refused with the script for the owner', async () => {
    const { sql, schema, again, guard } = table;
    await sql(
      `GRANT CREATE ON SCHEMA ${schema} TO ${role.lapse}; GRANT TRIGGER ON workflow_executions TO ${role.lapse}`,
    );
    const refusal = await (await again(urlOf(role.lapse))).install(ADA).catch((error) => error);

    expect(refusal).toMatchObject({
      name: 'GuardNotPermittedError',
      right: `membership of role "${role.owner}", which owns table "${schema}".workflow_executions`,
    });
    expect(await guard.status()).toBe('missing');
    await as(role.owner, refusal.script);
    expect(await guard.status()).toBe('installed');
    expect(await ownerOf(table)).toEqual({ owner: role.owner, acl: `{${role.owner}=X/${role.owner}}` });
  });

  test('a member installs it for the owner, and removes it', async () => {
    const { sql, again } = table;
    await sql(`GRANT ${role.owner} TO ${role.lapse}`);
    const guard = await again(urlOf(role.lapse));
    await guard.install(ADA);
    expect((await ownerOf(table)).owner).toBe(role.owner);
    await guard.remove(ADA);
    expect(await guard.status()).toBe('missing');
  });

  test('a superuser who installs it gives it to the owner; after a change of the owner it is outdated', async () => {
    const { sql, guard } = table;
    await guard.install(ADA);
    expect((await ownerOf(table)).owner).toBe(role.owner);
    await sql(`ALTER TABLE workflow_executions OWNER TO ${role.lapse}`);
    expect(await guard.examine()).toMatchObject({
      state: 'outdated',
      reason: `its function belongs to role "${role.owner}", not to "${role.lapse}", the owner of the table`,
    });
    await guard.install(ADA);
    expect(await guard.status()).toBe('installed');
  });

  test('a function of that name that another role has put there is not taken over, or changes its owner', async () => {
    const { sql, schema, guard, again } = table;
    const { squatter } = await roles(table, 'squatter');
    await sql(`GRANT CREATE, USAGE ON SCHEMA ${schema} TO ${squatter}; GRANT ${role.owner} TO ${role.lapse}`);
    const body = '$$ BEGIN RETURN NEW; END $$';
    await as(squatter, `CREATE FUNCTION ${schema}.lapse_guard_timeouts() RETURNS trigger LANGUAGE plpgsql AS ${body}`);

    await expect((await again(urlOf(role.lapse))).install(ADA)).rejects.toMatchObject({
      right: expect.stringMatching(`belongs to role "${squatter}"$`),
    });
    await guard.install(ADA);
    expect((await ownerOf(table)).owner).toBe(role.owner);
    const takenBack = as(
      squatter,
      `CREATE OR REPLACE FUNCTION ${schema}.lapse_guard_timeouts() RETURNS trigger LANGUAGE plpgsql AS ${body}`,
    );
    await expect(takenBack).rejects.toMatchObject({ code: '42501' });
  });
});

/** Each writes down who calls it. What it returns makes the guard go on. */
const TRAPS = `
  CREATE TABLE public.trapped (who text, what text);
  GRANT INSERT ON public.trapped TO PUBLIC;
  CREATE FUNCTION public.spring(what text) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.trapped VALUES (current_user, what); END $$;
  ${[
    ['format(a text, b text)', 'text', `'x'`],
    ['format(a text, b name)', 'text', `'SELECT 1'`],
    ['to_jsonb(a anyelement)', 'pg_catalog.jsonb', 'NULL'],
    ['current_setting(a text, b boolean)', 'text', 'NULL'],
    ['pg_current_xact_id()', 'xid8', 'NULL'],
    ['jsonb_typeof(a pg_catalog.jsonb)', 'text', `'object'`],
    ['jsonb_build_object(a text, b pg_catalog.jsonb)', 'pg_catalog.jsonb', 'NULL'],
    ['jsonb_object_agg(a text, b pg_catalog.jsonb)', 'pg_catalog.jsonb', 'NULL'],
    ['pg_get_userbyid(a oid)', 'name', 'current_user'],
  ]
    .map(
      ([signature, type, value]) => `CREATE FUNCTION public.${signature} RETURNS ${type} LANGUAGE plpgsql AS
        $$ BEGIN PERFORM public.spring('${signature}'); RETURN ${value}; END $$;`,
    )
    .join('\n')}
  CREATE FUNCTION public.jsonb_each(a pg_catalog.jsonb, OUT key text, OUT value pg_catalog.jsonb) RETURNS SETOF record
    LANGUAGE plpgsql AS $$ BEGIN PERFORM public.spring('jsonb_each'); END $$;
  ${[
    ['text', '=', 'text', 'boolean', 'true'],
    ['text', '<>', 'text', 'boolean', 'false'],
    ['oid', '=', 'oid', 'boolean', 'true'],
    ['pg_catalog.jsonb', '->>', 'text', 'text', 'NULL'],
    ['pg_catalog.jsonb', '->', 'text', 'pg_catalog.jsonb', 'NULL'],
    ['pg_catalog.jsonb', '@>', 'pg_catalog.jsonb', 'boolean', 'false'],
    ['pg_catalog.jsonb', '||', 'pg_catalog.jsonb', 'pg_catalog.jsonb', 'NULL'],
  ]
    .map(
      ([left, operator, right, type, value], n) => `
        CREATE FUNCTION public.trap_${n}(a ${left}, b ${right}) RETURNS ${type} LANGUAGE plpgsql AS
          $$ BEGIN PERFORM public.spring('${operator}'); RETURN ${value}; END $$;
        CREATE OPERATOR public.${operator} (LEFTARG = ${left}, RIGHTARG = ${right}, FUNCTION = public.trap_${n});`,
    )
    .join('\n')}
  CREATE DOMAIN public.jsonb AS pg_catalog.jsonb CHECK (public.spring('jsonb') IS NOT NULL);`;

test('nothing in the search path of a superuser is called, whoever put it there: not by the guard, nor by its script', async () => {
  const table = await tables.make();
  const { sql, guard, timeOut, approve, again, schema } = table;
  const { attacker, lapse } = await roles(table, 'attacker', 'lapse');
  await sql(`GRANT CREATE ON SCHEMA public TO ${attacker}; ${grantsTo(lapse, schema)}`);
  await timeOut('late', 'other');
  await sql(`INSERT INTO workflow_executions SELECT 'acme', 'support', 'runs', 'agent', 'c' `);
  const refusal = await (await again(urlOf(lapse))).install(ADA).catch((error) => error);
  expect(refusal).toMatchObject({ name: 'GuardNotPermittedError' });
  await as(attacker, TRAPS);
  const trapped = async () => {
    await sql('SET search_path = pg_catalog');
    return (await sql('SELECT DISTINCT who, what FROM public.trapped ORDER BY what')).rows;
  };

  await sql(`SET search_path = ${schema}, public, pg_catalog`);
  await sql(`SELECT format('%s', 'x'::text), '{}'::pg_catalog.jsonb -> 'x'`);
  expect((await trapped()).map(({ what }) => what)).toEqual(['->', 'format(a text, b text)']);
  await sql('DELETE FROM public.trapped');

  for (const pinned of [true, false]) {
    await sql(`SET search_path = ${schema}, public, pg_catalog`);
    await sql(refusal.script);
    if (!pinned) {
      await sql(`ALTER FUNCTION ${schema}.lapse_guard_timeouts() RESET search_path`);
    }
    for (const metadata of ['{"note": 1}', '[1]', null]) {
      await sql('UPDATE workflow_executions SET metadata = $1', [metadata]);
    }
    await expect(
      sql(`UPDATE workflow_executions SET status = 'running' WHERE metadata IS NOT NULL`),
    ).rejects.toMatchObject({ code: 'LP001', detail: expect.stringMatching(/sweep [-0-9a-f]{36}/) });
    expect(await trapped()).toEqual([]);
  }
  await guard.remove(ADA);
  await sql(`SET search_path = ${schema}`);
  await approve('late');
});
