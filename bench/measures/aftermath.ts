import pg from 'pg';
import { SweepsService } from '../../src/sweeps/sweeps.service.js';
import { LateApprovalGuard } from '../../src/timeouts/late-approval-guard.service.js';
import { ReopeningsService } from '../../src/timeouts/reopenings.service.js';
import type { Measure } from '../measure.js';
import type { Report } from '../report/report.js';
import { type Backlog, createBacklog } from '../support/backlog.js';
import { warm, withClient } from '../support/fixture.js';
import { OPERATOR, SWEEP_OF_ALL, startLapse } from '../support/lapse.js';
import type { BenchServer } from '../support/server.js';
import { ratiosOf, spreadOf, timed } from '../support/statistics.js';

const COPY = 'lapse_bench_aftermath';
const GUARDED = 'lapse_bench_guarded';
const SLICES = 20;

type Sizes = Omit<Backlog, 'layout'> & {
  rounds: number;
  /** How many updates of the host are timed with the guard, and as many without. */
  updates: number;
};

/** What it costs to take timeouts back, and to keep others from doing so. */
export const aftermath: Measure<Sizes> = {
  full: { rows: 1_000_000, overdue: 50_000, waiting: 50_000, tenants: 1000, rounds: 3, updates: 20_000 },
  quick: { rows: 20_000, overdue: 2_000, waiting: 1_000, tenants: 100, rounds: 1, updates: 300 },
  async take(server, sizes, report) {
    report.progress(`aftermath: making ${sizes.rows} executions, of which ${sizes.overdue} are timed out and reopened`);
    const template = await createBacklog(server, { ...sizes, layout: 'one night' });
    await measureUndo(server, template, sizes, report);
    await measureGuard(server, template, sizes, report);
    await server.drop(template);
  },
};

/** Each round on a fresh copy: a sweep of everything, then its undo, both through the service layer. */
async function measureUndo(server: BenchServer, template: string, sizes: Sizes, report: Report): Promise<void> {
  const rates = { sweep: [] as number[], undo: [] as number[] };
  for (let round = 1; round <= sizes.rounds; round += 1) {
    const url = await server.copy(template, COPY);
    await warm(url);
    const app = await startLapse(url);
    try {
      const sweeps = app.get(SweepsService);
      let sweepId = '';
      const swept = await timed(() =>
        sweeps.run('api', OPERATOR, SWEEP_OF_ALL, (id) => {
          sweepId = id;
        }),
      );
      const reopenings = app.get(ReopeningsService, { strict: false });
      const undone = await timed(() => reopenings.undo('api', OPERATOR, { sweepId, reason: 'benchmark' }));
      await assertReopened(url, sizes);
      rates.sweep.push(sizes.overdue / (swept / 1000));
      rates.undo.push(sizes.overdue / (undone / 1000));
      report.progress(
        `undo, round ${round}: the sweep took ${Math.round(swept)} ms, its undo ${Math.round(undone)} ms`,
      );
    } finally {
      await app.close();
    }
  }
  await server.drop(COPY);
  report.figure('undo of what a sweep timed out', 'rows/s', spreadOf(rates.undo));
  report.claim('undo / the sweep that it takes back', '×', ratiosOf(rates.undo, rates.sweep), { atLeast: 0.7 });
}

async function assertReopened(url: string, sizes: Sizes): Promise<void> {
  await withClient(url, async (client) => {
    const { rows } = await client.query(
      `SELECT (SELECT count(*)::int FROM workflow_executions WHERE status = 'suspended') AS suspended,
              (SELECT count(*)::int FROM lapse.timeouts WHERE reopened_at IS NOT NULL) AS reopened`,
    );
    if (rows[0].suspended !== sizes.overdue + sizes.waiting || rows[0].reopened !== sizes.overdue) {
      throw new Error(`The undo left ${JSON.stringify(rows[0])}`);
    }
  });
}

/** The host approves the same execution in two copies of the database, in turns; each comes first every other time. */
async function measureGuard(server: BenchServer, template: string, sizes: Sizes, report: Report): Promise<void> {
  const [bare, guarded] = [await server.copy(template, COPY), await server.copy(template, GUARDED)];
  const app = await startLapse(guarded);
  await app.get(LateApprovalGuard, { strict: false }).install(OPERATOR);
  await app.close();
  await warm(bare);
  await warm(guarded);
  const clients = [bare, guarded].map((connectionString) => new pg.Client({ connectionString }));
  await Promise.all(clients.map((client) => client.connect()));
  const [host, guardedHost] = clients as [pg.Client, pg.Client];
  const { rows } = await host.query(
    `SELECT tenant_id, project_id, id FROM workflow_executions WHERE status = 'suspended' LIMIT $1`,
    [sizes.updates],
  );
  const times = { bare: [] as number[], guarded: [] as number[] };
  for (const [pair, key] of rows.entries()) {
    const approve = async (client: pg.Client) =>
      timed(() =>
        client.query(
          `UPDATE workflow_executions SET status = 'running', updated_at = now()
            WHERE tenant_id = $1 AND project_id = $2 AND id = $3`,
          [key.tenant_id, key.project_id, key.id],
        ),
      );
    if (pair % 2 === 0) {
      times.bare.push(await approve(host));
      times.guarded.push(await approve(guardedHost));
    } else {
      times.guarded.push(await approve(guardedHost));
      times.bare.push(await approve(host));
    }
  }
  await Promise.all(clients.map((client) => client.end()));
  await server.drop(COPY);
  await server.drop(GUARDED);
  const medians = (figures: number[]) =>
    Array.from({ length: SLICES }, (_, slice) => {
      const size = Math.ceil(figures.length / SLICES);
      return spreadOf(figures.slice(slice * size, (slice + 1) * size)).median;
    });
  report.figure("guard: a host's update to running, without it", 'ms', spreadOf(medians(times.bare)));
  const ratio = spreadOf(times.guarded).median / spreadOf(times.bare).median;
  report.claim("guard: a host's update with it / without it, of the medians", '×', spreadOf([ratio]), { atMost: 1.03 });
}
