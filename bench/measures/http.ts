import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import type { Measure } from '../measure.js';
import { createExecutions, warm, withClient } from '../support/fixture.js';
import { ADMIN_KEY } from '../support/lapse.js';
import { ratiosOf, spreadOf } from '../support/statistics.js';

const DATABASE = 'lapse_bench_http';
const TARGET = fileURLToPath(new URL('../support/http-target.ts', import.meta.url));
const CONNECTIONS = 16;

interface Sizes {
  /** Rows in the watched table; all wait and none is overdue. */
  waiting: number;
  tenants: number;
  /** For which each route is called in each round. */
  seconds: number;
  rounds: number;
  /** Rounds before them whose figures don't count. */
  warmUps: number;
}

interface Route {
  name: string;
  path: string;
  /** Sweeps of one scope take turns, so that more than one caller would measure the waiting. */
  connections: number;
  method?: 'GET' | 'POST';
  headers?: Record<string, string>;
  status: number;
}

/** Requests a second of each route against those of a route that does nothing, of a bare Nest application in the same process. */
export const http: Measure<Sizes> = {
  full: { waiting: 100_000, tenants: 1000, seconds: 3, rounds: 3, warmUps: 1 },
  quick: { waiting: 2_000, tenants: 100, seconds: 1, rounds: 1, warmUps: 0 },
  async take(server, sizes, report) {
    report.progress(`http: making ${sizes.waiting} executions that wait`);
    const url = await createExecutions(server, DATABASE, {
      rows: sizes.waiting,
      tenants: sizes.tenants,
      status: `'suspended'`,
      since: 'now()',
    });
    await warm(url);
    const target = await Target.start(url);
    try {
      for (const route of await routesOf(url, target)) {
        const rates = { bare: [] as number[], lapse: [] as number[] };
        for (let round = 1 - sizes.warmUps; round <= sizes.rounds; round += 1) {
          const bare = await rateOf(`${target.bare}/bare`, { ...route, method: 'GET', status: 200 }, sizes.seconds);
          const lapse = await rateOf(target.lapse + route.path, route, sizes.seconds);
          if (round > 0) {
            rates.bare.push(bare);
            rates.lapse.push(lapse);
          }
        }
        report.progress(`http: ${route.name}: ${Math.round(spreadOf(rates.lapse).median)} requests/s`);
        const of = route.connections === 1 ? 'one connection' : `${route.connections} connections`;
        report.figure(`a bare Nest route, ${of}`, 'requests/s', spreadOf(rates.bare));
        report.figure(`${route.name}, ${of}`, 'requests/s', spreadOf(rates.lapse));
        report.figure(`${route.name} / a bare Nest route`, '×', ratiosOf(rates.lapse, rates.bare));
      }
    } finally {
      await target.stop();
    }
    await server.drop(DATABASE);
  },
};

async function routesOf(url: string, target: Target): Promise<Route[]> {
  const { tenantId, projectId, conversationId } = await conversationIn(url);
  const pending = `/v1/tenants/${tenantId}/projects/${projectId}/conversations/${conversationId}/pending-approvals`;
  const answer = await fetch(target.lapse + pending, { headers: AUTHORIZATION });
  const tag = answer.headers.get('etag') ?? '';
  const many = { connections: CONNECTIONS, status: 200 };
  return [
    { ...many, name: '`GET /v1/executions?limit=50`', path: '/v1/executions?limit=50' },
    { ...many, name: '`GET …/pending-approvals`', path: pending },
    {
      ...many,
      name: '`GET …/pending-approvals`, unchanged',
      path: pending,
      headers: { 'if-none-match': tag },
      status: 304,
    },
    { name: '`POST /v1/sweeps`, nothing to do', path: '/v1/sweeps', connections: 1, method: 'POST', status: 200 },
  ];
}

async function conversationIn(url: string): Promise<{ tenantId: string; projectId: string; conversationId: string }> {
  return withClient(url, async (client) => {
    const { rows } = await client.query(
      `INSERT INTO conversations (tenant_id, project_id, id)
       SELECT tenant_id, project_id, conversation_id FROM workflow_executions LIMIT 1
       RETURNING tenant_id AS "tenantId", project_id AS "projectId", id AS "conversationId"`,
    );
    return rows[0];
  });
}

const AUTHORIZATION = { authorization: `Bearer ${ADMIN_KEY}` };

async function rateOf(url: string, route: Omit<Route, 'path' | 'name'>, seconds: number): Promise<number> {
  const { requests, statusCodeStats } = await autocannon({
    url,
    connections: route.connections,
    duration: seconds,
    method: route.method ?? 'GET',
    ...(route.method === 'POST' ? { body: '{}' } : {}),
    headers: { ...AUTHORIZATION, ...route.headers },
  });
  if (Object.keys(statusCodeStats ?? {}).join() !== String(route.status)) {
    throw new Error(`${url} answered ${JSON.stringify(statusCodeStats)}; expected ${route.status} only`);
  }
  return requests.average;
}

/** Both applications in one process of their own, so that who calls them doesn't slow them. */
class Target {
  private constructor(
    private readonly child: ChildProcess,
    readonly lapse: string,
    readonly bare: string,
  ) {}

  static async start(databaseUrl: string): Promise<Target> {
    const child = spawn(process.execPath, ['--import', '@swc-node/register/esm-register', TARGET], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, DATABASE_URL: databaseUrl },
    });
    process.once('exit', () => child.kill('SIGKILL'));
    for await (const line of createInterface({ input: child.stdout })) {
      const { lapse, bare } = JSON.parse(line);
      return new Target(child, lapse, bare);
    }
    throw new Error(`The process with both applications ended with ${child.exitCode}`);
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }
}
