import pg from 'pg';
import { SweepsService } from '../../src/sweeps/sweeps.service.js';
import type { Measure } from '../measure.js';
import type { Report } from '../report/report.js';
import { type Backlog, createBacklog } from '../support/backlog.js';
import { warm, withClient } from '../support/fixture.js';
import { OPERATOR, SWEEP_OF_ALL, startLapse } from '../support/lapse.js';
import type { BenchServer } from '../support/server.js';
import { spreadOf, timed } from '../support/statistics.js';

const COPY = 'lapse_bench_sizes';
const WITHOUT_INDEXES = 'lapse_bench_sizes_without';
const INDEXES = ['workflow_executions_suspended', 'workflow_executions_suspended_by_tenant'] as const;
const SLICES = 20;

type Sizes = Omit<Backlog, 'layout'> & {
  /** Requested sweeps that find nothing: each writes one sweep row and one audit row. */
  sweeps: number;
  /** How many executions the host suspends and resumes with the recommended indexes, and as many without. */
  updates: number;
};

/** What Lapse keeps, in bytes per row, and what the two recommended indexes cost. docs/sizing.md uses these figures. */
export const sizes: Measure<Sizes> = {
  full: { rows: 500_000, overdue: 100_000, waiting: 50_000, tenants: 1000, sweeps: 2000, updates: 20_000 },
  quick: { rows: 20_000, overdue: 2_000, waiting: 1_000, tenants: 100, sweeps: 50, updates: 300 },
  async take(server, sizes, report) {
    report.progress(`sizes: making ${sizes.rows} executions`);
    const template = await createBacklog(server, { ...sizes, layout: 'half a year' });
    const url = await server.copy(template, COPY);
    await measureIndexes(url, sizes, report);
    await measureOwnRows(url, sizes, report);
    await measureHostUpdates(server, template, sizes, report);
    await server.drop(template);
  },
};

async function measureIndexes(url: string, { overdue, waiting }: Sizes, report: Report): Promise<void> {
  for (const index of INDEXES) {
    const bytes = await bytesOf(url, `pg_relation_size('${index}')`);
    report.figure(`sizes: ${index}, per suspended execution`, 'bytes', spreadOf([bytes / (overdue + waiting)]));
  }
}

/** Freshly written, so without the free space that later updates and deletions leave. */
async function measureOwnRows(url: string, sizes: Sizes, report: Report): Promise<void> {
  const app = await startLapse(url);
  try {
    const service = app.get(SweepsService);
    await service.run('api', OPERATOR, SWEEP_OF_ALL);
    for (const [what, expression] of [
      ['a ledger row', 'pg_table_size'],
      ['the indexes of a ledger row', 'pg_indexes_size'],
    ] as const) {
      const bytes = await bytesOf(url, `${expression}('lapse.timeouts')`);
      report.figure(`sizes: ${what}`, 'bytes', spreadOf([bytes / sizes.overdue]));
    }
    report.progress(`sizes: requesting ${sizes.sweeps} sweeps that find nothing`);
    const tables = ['sweeps', 'sweep_counts', 'audit_log'] as const;
    const before = await Promise.all(tables.map((table) => bytesOf(url, `pg_total_relation_size('lapse.${table}')`)));
    for (let sweep = 0; sweep < sizes.sweeps; sweep += 1) {
      await service.run('api', OPERATOR, SWEEP_OF_ALL);
    }
    for (const [n, table] of tables.entries()) {
      const after = await bytesOf(url, `pg_total_relation_size('lapse.${table}')`);
      const name = `sizes: a requested sweep that finds nothing, in ${table}, with indexes`;
      report.figure(name, 'bytes', spreadOf([(after - (before[n] ?? 0)) / sizes.sweeps]));
    }
  } finally {
    await app.close();
  }
}

/** The host suspends and resumes the same executions in two copies of the database, in turns. */
async function measureHostUpdates(server: BenchServer, template: string, sizes: Sizes, report: Report): Promise<void> {
  const urls = [await server.copy(template, COPY), await server.copy(template, WITHOUT_INDEXES)] as const;
  await withClient(urls[1], (client) => client.query(`DROP INDEX ${INDEXES.join(', ')}`));
  await Promise.all(urls.map(warm));
  const clients = urls.map((connectionString) => new pg.Client({ connectionString }));
  await Promise.all(clients.map((client) => client.connect()));
  const [indexed, bare] = clients as [pg.Client, pg.Client];
  const { rows } = await indexed.query(
    `SELECT tenant_id, project_id, id FROM workflow_executions WHERE status = 'completed' LIMIT $1`,
    [sizes.updates],
  );
  const times = { indexed: [] as number[], bare: [] as number[] };
  for (const [pair, key] of rows.entries()) {
    const suspendAndResume = async (client: pg.Client) =>
      timed(async () => {
        for (const status of ['suspended', 'running']) {
          await client.query(
            `UPDATE workflow_executions SET status = $4, updated_at = now()
              WHERE tenant_id = $1 AND project_id = $2 AND id = $3`,
            [key.tenant_id, key.project_id, key.id, status],
          );
        }
      });
    for (const side of pair % 2 === 0 ? (['indexed', 'bare'] as const) : (['bare', 'indexed'] as const)) {
      times[side].push((await suspendAndResume(side === 'indexed' ? indexed : bare)) / 2);
    }
  }
  await Promise.all(clients.map((client) => client.end()));
  await server.drop(COPY);
  await server.drop(WITHOUT_INDEXES);
  const slices = (figures: number[]) =>
    Array.from({ length: SLICES }, (_, slice) => {
      const size = Math.ceil(figures.length / SLICES);
      return spreadOf(figures.slice(slice * size, (slice + 1) * size)).median;
    });
  const [withIndexes, without] = [slices(times.indexed), slices(times.bare)];
  report.figure("sizes: a host's update to suspended or back, without the indexes", 'ms', spreadOf(without));
  report.figure(
    'sizes: the same with the indexes / without',
    '×',
    spreadOf(withIndexes.map((time, slice) => time / (without[slice] ?? Number.NaN))),
  );
}

async function bytesOf(url: string, expression: string): Promise<number> {
  return withClient(url, async (client) => {
    const { rows } = await client.query(`SELECT ${expression}::float8 AS bytes`);
    return rows[0].bytes;
  });
}
