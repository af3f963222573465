import pg from 'pg';
import { readConfiguration } from '../../src/config/configuration.js';
import { openDatabase } from '../../src/database/open-database.js';
import type { BenchServer } from './server.js';

/**
 * What counts as overdue wherever a sweep is measured. So long that none of the executions which wait for a few minutes
 * becomes overdue while the benchmark runs, and all that were forgotten have been since yesterday.
 */
export const TIMEOUT_SECONDS = 12 * 3600;

/** What the pages of a B-tree come to whose keys arrive in random order. */
const GROWN_AT_RANDOM = 'WITH (fillfactor = 70)';

/** What a watched table is filled with. Executions are numbered 1 to `rows` in the order in which they began. */
export interface Filling {
  rows: number;
  tenants: number;
  /** SQL over the execution's number n. */
  status: string;
  /** SQL over n: when the execution reached its status. */
  since: string;
}

/**
 * A database with Lapse's tables and a full watched table, analysed. Few tenants have most rows: the cube of a random
 * number. Ids are random text, as hosts make them, so that neighbours in the key's index are none in the table.
 *
 * Indexes are made after the rows, because letting them grow takes several times as long; their pages are left as full
 * as those of an index that grew in random order.
 */
export async function createExecutions(server: BenchServer, database: string, filling: Filling): Promise<string> {
  const url = await createTables(server, database);
  await withClient(url, async (client) => {
    await client.query('SELECT setseed(0.42)');
    const makeIndexes = await dropIndexes(client);
    await client.query(
      `INSERT INTO workflow_executions
         (tenant_id, project_id, id, agent_id, conversation_id, request_id, status, metadata, created_at, updated_at)
       SELECT 'tenant-' || floor(${filling.tenants} * skew ^ 3), 'project-' || n % 4, 'wf_' || substr(md5('e' || n), 1, 21),
              'agent-' || n % 17, 'conv_' || substr(md5('c' || n), 1, 21), 'req_' || substr(md5('r' || n), 1, 21),
              status, ${metadata('n', 'status')}, since - interval '40 seconds', since
         FROM (SELECT n, random() AS skew, ${filling.status} AS status, ${filling.since} AS since
                 FROM generate_series(1, ${filling.rows}) n) made`,
    );
    await makeIndexes();
    await client.query('VACUUM (FREEZE, ANALYZE)');
  });
  return url;
}

/** Loads tables and indexes into memory; then a checkpoint, after which every page's first change costs all alike. */
export async function warm(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('CREATE EXTENSION IF NOT EXISTS pg_prewarm');
    await client.query(
      `SELECT sum(pg_prewarm(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relkind IN ('r', 'i', 't')`,
    );
    await client.query('CHECKPOINT');
  });
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, options: '-c timezone=UTC' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Connections that are closing when their database is dropped are ended by the server, which is no error of ours. */
export function openPool(url: string, connections: number): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: connections, options: '-c timezone=UTC' });
  pool.on('error', () => undefined);
  return pool;
}

async function createTables(server: BenchServer, database: string): Promise<string> {
  const url = await server.create(database);
  const configuration = readConfiguration({ DATABASE_URL: url, LAPSE_CREATE_WATCHED_TABLES: 'true' });
  await (await openDatabase(configuration)).destroy();
  return url;
}

/** @returns what makes them again. */
async function dropIndexes(client: pg.Client): Promise<() => Promise<void>> {
  const { rows: keys } = await client.query(
    `SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
      WHERE conrelid = 'workflow_executions'::regclass AND contype = 'p'`,
  );
  for (const { name } of keys) {
    await client.query(`ALTER TABLE workflow_executions DROP CONSTRAINT "${name}"`);
  }
  const { rows: indexes } = await client.query(
    `SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE tablename = 'workflow_executions'`,
  );
  for (const { name } of indexes) {
    await client.query(`DROP INDEX "${name}"`);
  }
  return async () => {
    await client.query(`SET maintenance_work_mem = '512MB'`);
    for (const { name, definition } of keys) {
      await client.query(`ALTER TABLE workflow_executions ADD CONSTRAINT "${name}" ${definition} ${GROWN_AT_RANDOM}`);
    }
    for (const { definition } of indexes) {
      await client.query(definition.replace(/(?= WHERE |$)/, ` ${GROWN_AT_RANDOM}`));
    }
  };
}

/** What the reference host keeps: a stream's name always, and about 350 bytes of a tool call while it waits. */
function metadata(n: string, status: string): string {
  return `jsonb_build_object('continuationStreamNamespace', 'stream-' || md5('s' || ${n}))
    || CASE ${status} WHEN 'suspended' THEN jsonb_build_object('pendingToolApproval', jsonb_build_object(
         'toolCallId', 'call_' || md5('t' || ${n}), 'toolName', 'issue_refund', 'isDelegated', false,
         'args', jsonb_build_object('orderId', md5('o' || ${n}), 'amount', ${n} % 1000 / 10.0, 'currency', 'EUR',
           'reason', 'The parcel arrived damaged; the customer sent two photos and asks for the whole amount back')))
       ELSE '{}'::jsonb END`;
}
