import autocannon from 'autocannon';
import { buildService } from './build-service.js';
import { createReadDatabase, withClient } from './fixture.js';
import type { Report } from './report.js';
import { peakMemoryWhile, residentMemory } from './resident-memory.js';
import type { BenchServer } from './server.js';
import { Service } from './service.js';
import type { Sizes } from './sizes.js';
import { ratiosOf, spreadOf } from './statistics.js';

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

/** What lists, polls and downloads cost over a large table, asked over HTTP of the built service. */
export async function measureReads(server: BenchServer, sizes: Sizes, report: Report): Promise<void> {
  report.progress(`making ${sizes.readRows} executions to be read, and ${sizes.ledger} rows of ledger`);
  const url = await createReadDatabase(server, sizes);
  const build = await buildService();
  const service = await Service.start(build.main, url, { LAPSE_RATE_LIMIT: 'off' });
  try {
    await measurePages(service, url, sizes, report);
    await measurePoll(service, url, sizes, report);
    await measureCsv(service, report);
  } finally {
    await service.stop();
    await build.remove();
  }
}

/** The three take turns over one connection each; what is compared is the 99th percentiles of the same slice. */
async function measurePages(service: Service, url: string, sizes: Sizes, report: Report): Promise<void> {
  const keys = await executionsOf(url);
  const thousandth = `${PAGE}&cursor=${await cursorAfter(service, Math.min(PAGES_BEFORE, Math.floor(sizes.readRows / 10 / 50 / 2)))}`;
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
      duration: sizes.pollSeconds,
      headers: { ...service.headers, ...headers },
    });
    if (Object.keys(statusCodeStats ?? {}).join() !== String(status)) {
      throw new Error(`${path} answered ${JSON.stringify(statusCodeStats)}`);
    }
    return requests.average;
  };
  const live: number[] = [];
  const poll: number[] = [];
  for (let round = 0; round <= sizes.rounds; round += 1) {
    const rates = [await rateOf('/health/live', {}, 200), await rateOf(path, { 'if-none-match': tag }, 304)] as const;
    // The first round warms up.
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

function percentile(figures: readonly number[], share: number): number {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
}
