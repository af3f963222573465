import autocannon from 'autocannon';
import type { Measure } from '../measure.js';
import type { Report } from '../report/report.js';
import { builtService } from '../support/build-service.js';
import { createExecutions, withClient } from '../support/fixture.js';
import { peakMemoryWhile, residentMemory } from '../support/resident-memory.js';
import type { BenchServer } from '../support/server.js';
import { Service } from '../support/service.js';
import { percentile, ratiosOf, spreadOf } from '../support/statistics.js';

const DATABASE = 'lapse_bench_reads';
const PAGE = '/v1/executions?limit=50';
const PAGES_BEFORE = 999;
const SLICES = 10;
const KEYS = 500;
const POLLERS = 16;
const CSV_ROUNDS = 3;

interface Execution {
  tenantId: string;
  projectId: string;
  id: string;
  conversationId: string;
}

interface Sizes {
  /** Rows in the watched table, a tenth of them suspended. */
  rows: number;
  tenants: number;
  /** Rows in the ledger. */
  ledger: number;
  /** How often each of two pages, and one execution, is asked for. */
  pages: number;
  /** Seconds for which each of two routes is polled, each round. */
  seconds: number;
  rounds: number;
  /** Rounds of polling before them whose figures don't count. */
  warmUps: number;
}

/** What lists, polls and downloads cost over a large table, asked over HTTP of the built service. */
export const reads: Measure<Sizes> = {
  full: { rows: 10_000_000, tenants: 1000, ledger: 1_000_000, pages: 5_000, seconds: 5, rounds: 3, warmUps: 1 },
  quick: { rows: 20_000, tenants: 100, ledger: 2_000, pages: 100, seconds: 1, rounds: 1, warmUps: 0 },
  async take(server, sizes, report) {
    report.progress(`reads: making ${sizes.rows} executions, and ${sizes.ledger} rows of ledger`);
    const url = await createLongLife(server, sizes);
    const main = await builtService();
    const service = await Service.start(main, url);
    try {
      await measurePages(service, url, sizes, report);
      await measurePoll(service, url, sizes, report);
      await measureCsv(service, report);
    } finally {
      await service.stop();
    }
    await server.drop(DATABASE);
  },
};

/** A tenth of all executions wait, spread over the table, and the ledger has a row for as many as were timed out. */
async function createLongLife(server: BenchServer, { rows, tenants, ledger }: Sizes): Promise<string> {
  const url = await createExecutions(server, DATABASE, {
    rows,
    tenants,
    status: `CASE WHEN n % 10 = 0 THEN 'suspended' ELSE 'completed' END`,
    since: `now() - (${rows} - n) * interval '20 minutes' / ${rows}`,
  });
  await withClient(url, async (client) => {
    await client.query(
      `INSERT INTO lapse.timeouts (sweep_id, tenant_id, project_id, execution_id, agent_id, conversation_id, tool_call_id,
                                   tool_name, suspended_since, deadline, timed_out_at)
       SELECT '01890000-0000-7000-8000-000000000000', tenant_id, project_id, id, agent_id, conversation_id,
              'call_' || md5(id), 'issue_refund', updated_at, updated_at, updated_at
         FROM workflow_executions LIMIT ${ledger}`,
    );
    await client.query('VACUUM (FREEZE, ANALYZE) lapse.timeouts');
  });
  return url;
}

/** The three take turns over one connection each; what is compared is the 99th percentiles of the same slice. */
async function measurePages(service: Service, url: string, sizes: Sizes, report: Report): Promise<void> {
  const keys = await executionsOf(url);
  const thousandth = `${PAGE}&cursor=${await cursorAfter(service, Math.min(PAGES_BEFORE, Math.floor(sizes.rows / 10 / 50 / 2)))}`;
  const byKey = () => {
    const { tenantId, projectId, id } = keys[Math.floor(Math.random() * keys.length)] as Execution;
    return `/v1/tenants/${tenantId}/projects/${projectId}/executions/${id}`;
  };
  const slices = { key: [] as number[], first: [] as number[], thousandth: [] as number[] };
  for (let slice = -1; slice < SLICES; slice += 1) {
    const times = { key: [] as number[], first: [] as number[], thousandth: [] as number[] };
    for (let turn = 0; turn < sizes.pages / SLICES; turn += 1) {
      times.key.push(await timeOf(service, byKey()));
      times.first.push(await timeOf(service, PAGE));
      times.thousandth.push(await timeOf(service, thousandth));
    }
    // The first slice warms up.
    if (slice >= 0) {
      slices.key.push(percentile(times.key, 0.99));
      slices.first.push(percentile(times.first, 0.99));
      slices.thousandth.push(percentile(times.thousandth, 0.99));
    }
  }
  report.figure('reads: p99 of one execution by its key', 'ms', spreadOf(slices.key));
  report.claim('reads: p99 of the first page of 50 / by key', '×', ratiosOf(slices.first, slices.key), { atMost: 3 });
  report.claim('reads: p99 of the thousandth page / by key', '×', ratiosOf(slices.thousandth, slices.key), {
    atMost: 3,
  });
}

async function executionsOf(url: string): Promise<Execution[]> {
  return withClient(url, async (client) => {
    const { rows } = await client.query(
      `SELECT tenant_id AS "tenantId", project_id AS "projectId", id, conversation_id AS "conversationId"
         FROM workflow_executions TABLESAMPLE system (1) WHERE status = 'suspended' LIMIT ${KEYS}`,
    );
    return rows;
  });
}

async function cursorAfter(service: Service, pages: number): Promise<string> {
  let cursor = '';
  for (let page = 0; page < pages; page += 1) {
    const response = await service.get(cursor === '' ? PAGE : `${PAGE}&cursor=${cursor}`);
    cursor = ((await response.json()) as { nextCursor: string }).nextCursor;
  }
  return cursor;
}

async function timeOf(service: Service, path: string): Promise<number> {
  const start = performance.now();
  const response = await service.get(path);
  await response.arrayBuffer();
  if (response.status !== 200) {
    throw new Error(`${path} answered ${response.status}`);
  }
  return performance.now() - start;
}

/** A user interface that asks again and again whether something waits, and brings the tag of the last answer. */
async function measurePoll(service: Service, url: string, sizes: Sizes, report: Report): Promise<void> {
  const [execution] = await executionsOf(url);
  const { tenantId, projectId, conversationId } = execution as Execution;
  await withClient(url, (client) =>
    client.query('INSERT INTO conversations (tenant_id, project_id, id) VALUES ($1, $2, $3)', [
      tenantId,
      projectId,
      conversationId,
    ]),
  );
  const path = `/v1/tenants/${tenantId}/projects/${projectId}/conversations/${conversationId}/pending-approvals`;
  const tag = (await service.get(path)).headers.get('etag') ?? '';
  const rateOf = async (path: string, headers: Record<string, string>, status: number): Promise<number> => {
    const { requests, statusCodeStats } = await autocannon({
      url: service.url + path,
      connections: POLLERS,
      duration: sizes.seconds,
      headers: { ...service.headers, ...headers },
    });
    if (Object.keys(statusCodeStats ?? {}).join() !== String(status)) {
      throw new Error(`${path} answered ${JSON.stringify(statusCodeStats)}`);
    }
    return requests.average;
  };
  const live: number[] = [];
  const poll: number[] = [];
  for (let round = 1 - sizes.warmUps; round <= sizes.rounds; round += 1) {
    const rates = [await rateOf('/health/live', {}, 200), await rateOf(path, { 'if-none-match': tag }, 304)] as const;
    if (round > 0) {
      live.push(rates[0]);
      poll.push(rates[1]);
    }
  }
  report.figure('reads: /health/live', 'requests/s', spreadOf(live));
  report.figure('reads: poll of a pending approval, unchanged', 'requests/s', spreadOf(poll));
  report.claim('reads: poll of a pending approval / /health/live', '×', ratiosOf(poll, live), { atLeast: 0.5 });
}

async function measureCsv(service: Service, report: Report): Promise<void> {
  const growth: number[] = [];
  for (let round = 0; round < CSV_ROUNDS; round += 1) {
    const before = await residentMemory(service.pid);
    let bytes = 0;
    const peak = await peakMemoryWhile(service.pid, async () => {
      const response = await service.get('/v1/timeouts', { accept: 'text/csv' });
      for await (const chunk of response.body ?? []) {
        bytes += chunk.length;
      }
    });
    growth.push(peak - before);
    report.progress(
      `CSV of the ledger: ${(bytes / 1024 ** 2).toFixed(0)} MB, resident ${before.toFixed(0)} → ${peak.toFixed(0)} MB`,
    );
  }
  report.claim('reads: growth of memory while the ledger is sent as CSV', 'MB', spreadOf(growth), { atMost: 30 });
}
