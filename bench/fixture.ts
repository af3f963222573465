import pg from 'pg';
import { readConfiguration } from '../src/config/configuration.js';
import { openDatabase } from '../src/database/open-database.js';
import type { BenchServer } from './server.js';
import type { Sizes } from './sizes.js';

/**
 * What counts as overdue in the drain. So long that none of the executions which wait for a few minutes becomes overdue
 * while the benchmark runs, and all that were forgotten have been since yesterday.
 */
export const TIMEOUT_SECONDS = 12 * 3600;

const IDLE_DATABASE = 'lapse_bench_idle';
const READ_DATABASE = 'lapse_bench_reads';

/**
 * How the overdue executions lie among the others, in the order in which all began. It decides how many pages the drain
 * of a given number changes, and so what any way of doing it costs.
 */
export const LAYOUTS = {
  /** Nobody timed anything out for half a year: one in twenty was forgotten, each on a page of its own. */
  'half a year': (sizes: Sizes) => Math.floor((sizes.rows - (sizes.suspended - sizes.overdue)) / sizes.overdue),
  /** Nobody approved for one night: two of three of the last executions before the youngest were forgotten. */
  'one night': () => 1.5,
} as const;

export type Layout = keyof typeof LAYOUTS;

const DRAIN_TEMPLATES: Record<Layout, string> = {
  'half a year': 'lapse_bench_half_a_year',
  'one night': 'lapse_bench_one_night',
};

/** The watched table with a backlog, and as many of the youngest waiting for an approval just now. */
export async function createDrainTemplate(server: BenchServer, sizes: Sizes, layout: Layout): Promise<string> {
  const url = await createTables(server, DRAIN_TEMPLATES[layout]);
  const firstWaiting = sizes.rows - (sizes.suspended - sizes.overdue);
  const forgottenEvery = LAYOUTS[layout](sizes);
  const firstForgotten = firstWaiting - Math.ceil(sizes.overdue * forgottenEvery);
  await fill(
    url,
    { rows: sizes.rows, tenants: sizes.tenants },
    `CASE WHEN n > ${firstWaiting} THEN 'suspended'
          WHEN n > ${firstForgotten} AND floor(n / ${forgottenEvery}) <> floor((n - 1) / ${forgottenEvery}) THEN 'suspended'
          WHEN n % 50 = 7 THEN 'failed'
          WHEN n % 500 = 11 THEN 'running'
          ELSE 'completed' END`,
    `CASE WHEN n > ${firstWaiting} THEN now() - (${sizes.rows} - n) * interval '10 minutes' / ${sizes.rows - firstWaiting}
          ELSE now() - interval '1 day' - (${sizes.rows} - n) * interval '180 days' / ${sizes.rows} END`,
  );
  return DRAIN_TEMPLATES[layout];
}

/** As many executions as the drain has rows, all suspended within the last minutes: the most that can wait for nothing. */
export async function createIdleDatabase(server: BenchServer, sizes: Sizes): Promise<string> {
  const url = await createTables(server, IDLE_DATABASE);
  await fill(
    url,
    { rows: sizes.waiting, tenants: sizes.tenants },
    `'suspended'`,
    `now() - (${sizes.waiting} - n) * interval '10 minutes' / ${sizes.waiting}`,
  );
  return url;
}

/** A long life: a tenth of all executions wait, spread over it, and the ledger has a row for as many as were timed out. */
export async function createReadDatabase(server: BenchServer, sizes: Sizes): Promise<string> {
  const url = await createTables(server, READ_DATABASE);
  await fill(
    url,
    { rows: sizes.readRows, tenants: sizes.tenants },
    `CASE WHEN n % 10 = 0 THEN 'suspended' ELSE 'completed' END`,
    `now() - (${sizes.readRows} - n) * interval '20 minutes' / ${sizes.readRows}`,
  );
  await withClient(url, async (client) => {
    await client.query(
      `INSERT INTO lapse.timeouts (sweep_id, tenant_id, project_id, execution_id, agent_id, conversation_id, tool_call_id,
                                   tool_name, suspended_since, deadline, timed_out_at)
       SELECT '01890000-0000-7000-8000-000000000000', tenant_id, project_id, id, agent_id, conversation_id,
              'call_' || md5(id), 'issue_refund', updated_at, updated_at, updated_at
         FROM workflow_executions LIMIT ${sizes.ledger}`,
    );
    await client.query('VACUUM (FREEZE, ANALYZE) lapse.timeouts');
  });
  return url;
}

/** Loads tables and indexes into memory; then a checkpoint, after which every page's first change costs all alike. */
export async function warm(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query(
      `SELECT sum(pg_prewarm(c.oid)) FROM pg_class c
        WHERE c.relnamespace IN ('public'::regnamespace, 'lapse'::regnamespace) AND c.relkind IN ('r', 'i', 't')`,
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

async function createTables(server: BenchServer, database: string): Promise<string> {
  const url = await server.create(database);
  const configuration = readConfiguration({ DATABASE_URL: url, LAPSE_CREATE_WATCHED_TABLES: 'true' });
  await (await openDatabase(configuration)).destroy();
  return url;
}

/**
 * Few tenants have most rows: the cube of a random number. Ids are random text, as hosts make them, so that neighbours
 * in the key's index are none in the table. The indexes are there from the start and grow as a host's do.
 *
 * @param status SQL over the row's number n
 * @param since SQL over n: when the execution reached its status
 */
async function fill(
  url: string,
  { rows, tenants }: { rows: number; tenants: number },
  status: string,
  since: string,
): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('CREATE EXTENSION IF NOT EXISTS pg_prewarm');
    await client.query('SELECT setseed(0.42)');
    await client.query(
      `INSERT INTO workflow_executions
         (tenant_id, project_id, id, agent_id, conversation_id, request_id, status, metadata, created_at, updated_at)
       SELECT 'tenant-' || floor(${tenants} * skew ^ 3), 'project-' || n % 4, 'wf_' || substr(md5('e' || n), 1, 21),
              'agent-' || n % 17, 'conv_' || substr(md5('c' || n), 1, 21), 'req_' || substr(md5('r' || n), 1, 21),
              status, ${metadata('n', 'status')}, since - interval '40 seconds', since
         FROM (SELECT n, random() AS skew, ${status} AS status, ${since} AS since FROM generate_series(1, ${rows}) n) made`,
    );
    await client.query('VACUUM (FREEZE, ANALYZE)');
  });
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
