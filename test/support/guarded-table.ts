import { afterEach, expect } from '@jest/globals';
import pg from 'pg';
import { LateApprovalGuard } from '../../src/timeouts/late-approval-guard.service.js';
import { Lapse } from './lapse.js';
import { useDatabase } from './world.js';

/** A watched table in a schema of its own, and a service on it. */
export interface GuardedTable {
  /** Its schema. */
  schema: string;
  lapse: Lapse;
  guard: LateApprovalGuard;
  /** Every statement is of the same session of a superuser, with the table's schema in front. */
  sql: (text: string, values?: unknown[]) => Promise<pg.QueryResult>;
  /** What the reference host does when somebody presses the button, however late. */
  approve: (id: string) => Promise<unknown>;
  timeOut: (...ids: string[]) => Promise<void>;
  /** Another service on the same table, with new sessions. */
  again: (databaseUrl?: string) => Promise<LateApprovalGuard>;
}

export interface GuardedTables {
  databaseUrl: string;
  /** @param layout what follows the columns of the CREATE TABLE. @param statements are run before Lapse starts. */
  make: (layout?: string, options?: { type?: string; statements?: string[] }) => Promise<GuardedTable>;
  /** After this test, the latest first. */
  cleanUp: (cleanup: () => Promise<unknown>) => void;
}

/** The layout of a host that doesn't partition. */
export const WHOLE = 'PRIMARY KEY (tenant_id, project_id, id))';

/** Watched tables in one database, each of them dropped after its test. */
export function useGuardedTables(): GuardedTables {
  const world = useDatabase();
  const cleanups: (() => Promise<unknown>)[] = [];
  let tables = 0;
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) {
      await cleanup();
    }
  });
  const make: GuardedTables['make'] = async (layout = WHOLE, { type = 'timestamp', statements = [] } = {}) => {
    tables += 1;
    const schema = `host_${tables}`;
    const client = new pg.Client({ connectionString: world.databaseUrl });
    client.on('error', () => undefined);
    await client.connect();
    const sql = (text: string, values?: unknown[]) => client.query(text, values);
    cleanups.push(async () => {
      await sql(`SET client_min_messages = error; DROP SCHEMA IF EXISTS ${schema} CASCADE`);
      await client.end();
    });
    await sql(`CREATE SCHEMA ${schema}; SET search_path = ${schema}, public; SET timezone = 'UTC'`);
    await sql(`CREATE TABLE workflow_executions (
      tenant_id varchar(256) NOT NULL, project_id varchar(256) NOT NULL, id varchar(256) NOT NULL,
      agent_id varchar(256) NOT NULL, conversation_id varchar(256) NOT NULL, request_id varchar(256),
      status varchar(50) NOT NULL DEFAULT 'running', metadata jsonb,
      created_at ${type} NOT NULL DEFAULT now(), updated_at ${type} NOT NULL DEFAULT now(), ${layout}`);
    for (const statement of statements) {
      await sql(statement);
    }
    const start = async (databaseUrl = world.databaseUrl) => {
      const lapse = await Lapse.start(databaseUrl, { LAPSE_WATCHED_SCHEMA: schema });
      cleanups.push(() => lapse.stop());
      return lapse;
    };
    const guardOf = (lapse: Lapse) => lapse.app.get(LateApprovalGuard, { strict: false });
    const lapse = await start();
    return {
      schema,
      lapse,
      guard: guardOf(lapse),
      sql,
      approve: (id) =>
        sql(`UPDATE workflow_executions SET status = 'running', metadata = '{}', updated_at = now() WHERE id = $1`, [
          id,
        ]),
      timeOut: async (...ids) => {
        await sql(
          `INSERT INTO workflow_executions (tenant_id, project_id, id, agent_id, conversation_id, status, created_at, updated_at)
           SELECT 'acme', 'support', id, 'agent', 'conversation', 'suspended', now() - interval '1 hour', now() - interval '1 hour'
             FROM unnest($1::text[]) id`,
          [ids],
        );
        expect((await lapse.post('/v1/sweeps')).body.counts).toMatchObject({ timedOut: ids.length, failed: 0 });
      },
      again: async (databaseUrl) => guardOf(await start(databaseUrl)),
    };
  };
  return {
    get databaseUrl() {
      return world.databaseUrl;
    },
    make,
    cleanUp: (cleanup) => cleanups.push(cleanup),
  };
}
