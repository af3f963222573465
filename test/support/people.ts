import pg from 'pg';
import type { Caller } from '../../src/access/principal.js';
import { TenantScope } from '../../src/access/tenant-scope.js';

/** A platform engineer at the command line. */
export const ADA: Caller = {
  principal: { kind: 'cli', id: 'cli:ada', role: 'admin', scope: TenantScope.platform() },
  scope: TenantScope.platform(),
  address: 'local',
  requestId: 'request',
  action: 'guard',
};

/**
 * A role that has what the service needs, and no part in the watched table's owner.
 *
 * @returns the database's URL with that role, and what drops it.
 */
export async function roleOfLapse(databaseUrl: string): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `lapse_role_${process.pid}`;
  const run = async (sql: string): Promise<void> => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    await client.query(sql).finally(() => client.end());
  };
  await run(`
    DROP ROLE IF EXISTS ${name}; CREATE ROLE ${name} LOGIN PASSWORD '${name}';
    GRANT USAGE, CREATE ON SCHEMA lapse TO ${name}; GRANT ALL ON ALL TABLES IN SCHEMA lapse TO ${name};
    GRANT SELECT, UPDATE ON workflow_executions TO ${name}`);
  const { href } = Object.assign(new URL(databaseUrl), { username: name, password: name });
  return { url: href, drop: () => run(`DROP OWNED BY ${name}; DROP ROLE ${name}`) };
}
