import { SweepsService } from '../../src/sweeps/sweeps.service.js';
import { lapse } from '../contenders/lapse.js';
import { IS_OVERDUE } from '../contenders/statements.js';
import type { Measure } from '../measure.js';
import type { Report } from '../report/report.js';
import { createBacklog } from '../support/backlog.js';
import { createExecutions, TIMEOUT_SECONDS, warm, withClient } from '../support/fixture.js';
import { OPERATOR, startLapse } from '../support/lapse.js';
import type { BenchServer } from '../support/server.js';
import { ratiosOf, spreadOf, timed } from '../support/statistics.js';

const COPY = 'lapse_bench_search';
const RARE_AGENT = 'rare';

interface Sizes {
  rounds: number;
  /** A drain with and without the recommended indexes. */
  drain: { rows: number; overdue: number; waiting: number; tenants: number };
  /** Overdue executions of whom five are the rare agent's. */
  overdue: number;
}

/** What finding costs if no index helps. */
export const search: Measure<Sizes> = {
  full: {
    rounds: 3,
    drain: { rows: 1_000_000, overdue: 50_000, waiting: 50_000, tenants: 1000 },
    overdue: 3_000_000,
  },
  quick: { rounds: 1, drain: { rows: 10_000, overdue: 300, waiting: 500, tenants: 100 }, overdue: 10_000 },
  async take(server, sizes, report) {
    await drainWithoutIndexes(server, sizes, report);
    await findRareAgent(server, sizes, report);
  },
};

async function drainWithoutIndexes(server: BenchServer, { rounds, drain }: Sizes, report: Report): Promise<void> {
  report.progress(`search: making ${drain.rows} rows`);
  const backlog = { ...drain, layout: 'half a year' } as const;
  const template = await createBacklog(server, backlog);
  const rates = { with: [] as number[], without: [] as number[] };
  for (let round = 1; round <= rounds; round += 1) {
    for (const indexes of ['with', 'without'] as const) {
      const url = await server.copy(template, COPY);
      if (indexes === 'without') {
        await withClient(url, (client) =>
          client.query('DROP INDEX workflow_executions_suspended, workflow_executions_suspended_by_tenant'),
        );
      }
      await warm(url);
      const { milliseconds } = await lapse.drain(url);
      await lapse.check(url, backlog, drain.overdue);
      rates[indexes].push(drain.overdue / (milliseconds / 1000));
    }
  }
  await server.drop(COPY);
  await server.drop(template);
  const name = `drain of ${drain.overdue.toLocaleString('en')} of ${drain.rows.toLocaleString('en')}`;
  report.figure(`${name}: with the indexes`, 'rows/s', spreadOf(rates.with));
  report.figure(`${name}: without`, 'rows/s', spreadOf(rates.without));
  report.claim(`${name}: without / with`, '×', ratiosOf(rates.without, rates.with), { atLeast: 0.2 });
}

async function findRareAgent(server: BenchServer, { rounds, overdue }: Sizes, report: Report): Promise<void> {
  report.progress(`search: making ${overdue} overdue rows`);
  const url = await createExecutions(server, COPY, {
    rows: overdue,
    tenants: 1000,
    status: `'suspended'`,
    since: `now() - interval '30 days' - (${overdue} - n) * interval '10 days' / ${overdue}`,
  });
  const step = Math.floor(overdue / 5);
  await withClient(url, (client) =>
    client.query(
      `UPDATE workflow_executions SET agent_id = '${RARE_AGENT}'
        WHERE id IN (SELECT 'wf_' || substr(md5('e' || n), 1, 21) FROM generate_series(1, ${overdue}, ${step}) n)`,
    ),
  );
  await warm(url);
  const app = await startLapse(url);
  try {
    const [counting, sweeping]: [number[], number[]] = [[], []];
    for (let round = 0; round <= rounds; round += 1) {
      const [count, sweep] = [await timed(() => countRare(url)), await timed(() => sweepRare(app.get(SweepsService)))];
      await suspendAgain(url);
      // The first round warms up.
      if (round > 0) {
        counting.push(count);
        sweeping.push(sweep);
      }
    }
    const name = `one rare agent among ${overdue.toLocaleString('en')} overdue`;
    report.figure(`${name}: SELECT count(*)`, 'ms', spreadOf(counting));
    report.figure(`${name}: a requested sweep`, 'ms', spreadOf(sweeping));
    report.claim(`${name}: sweep / count`, '×', ratiosOf(sweeping, counting), { atMost: 3 });
  } finally {
    await app.close();
    await server.drop(COPY);
  }
}

async function countRare(url: string): Promise<void> {
  await withClient(url, (client) =>
    client.query(`SELECT count(*) FROM workflow_executions WHERE ${IS_OVERDUE} AND agent_id = '${RARE_AGENT}'`),
  );
}

async function sweepRare(sweeps: SweepsService): Promise<void> {
  const sweep = await sweeps.run('api', OPERATOR, { timeoutSeconds: TIMEOUT_SECONDS, agentId: RARE_AGENT });
  if (!('timedOut' in sweep) || sweep.timedOut !== 5) {
    throw new Error(`The sweep of the rare agent did not time out five: ${JSON.stringify(sweep)}`);
  }
}

async function suspendAgain(url: string): Promise<void> {
  await withClient(url, (client) =>
    client.query(
      `UPDATE workflow_executions SET status = 'suspended', updated_at = now() - interval '30 days'
        WHERE agent_id = '${RARE_AGENT}'`,
    ),
  );
}
