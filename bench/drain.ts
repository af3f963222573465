import { bareUpdate, type Contender, knownWay, lapse, updateWithLedger } from './contenders.js';
import { createDrainTemplate, type Layout, TIMEOUT_SECONDS, warm, withClient } from './fixture.js';
import type { Report } from './report.js';
import type { BenchServer } from './server.js';
import type { Sizes } from './sizes.js';
import { ratiosOf, spreadOf } from './statistics.js';

const COPY = 'lapse_bench_drain';
const CONTENDERS = [bareUpdate, updateWithLedger, lapse, knownWay];

/** Contenders take turns, each on a fresh copy of the same files. */
export async function measureDrain(server: BenchServer, sizes: Sizes, report: Report): Promise<void> {
  await measureLayout(server, sizes, 'half a year', report);
  await measureLayout(server, sizes, 'one night', report);
}

async function measureLayout(server: BenchServer, sizes: Sizes, layout: Layout, report: Report): Promise<void> {
  report.progress(`making ${sizes.rows} executions, ${sizes.overdue} of them overdue, forgotten in ${layout}`);
  const template = await createDrainTemplate(server, sizes, layout);
  const rates = new Map<Contender, number[]>(CONTENDERS.map((contender) => [contender, []]));
  for (let round = 1; round <= sizes.rounds; round += 1) {
    for (const contender of CONTENDERS) {
      const url = await server.copy(template, COPY);
      await warm(url);
      const ms = await contender.drain(url);
      await assertDrained(url, contender, sizes);
      rates.get(contender)?.push(sizes.overdue / (ms / 1000));
      report.progress(`${layout}, round ${round}: ${contender.name} took ${Math.round(ms)} ms`);
    }
  }
  await server.drop(COPY);
  await server.drop(template);
  tell(layout, rates, report);
}

function tell(layout: Layout, rates: ReadonlyMap<Contender, number[]>, report: Report): void {
  const of = (contender: Contender) => rates.get(contender) ?? [];
  const name = `drain of ${layout}`;
  for (const contender of CONTENDERS) {
    report.figure(`${name}: ${contender.name}`, 'rows/s', spreadOf(of(contender)));
  }
  report.claim(`${name}: Lapse / one bare UPDATE`, '×', ratiosOf(of(lapse), of(bareUpdate)), { atLeast: 0.4 });
  report.claim(`${name}: Lapse / the known way`, '×', ratiosOf(of(lapse), of(knownWay)), { atLeast: 8 });
  report.figure(`${name}: Lapse / one UPDATE with ledger`, '×', ratiosOf(of(lapse), of(updateWithLedger)));
}

/** A contender that did less than the others has no rate. */
export async function assertDrained(
  url: string,
  contender: Pick<Contender, 'name' | 'keepsLedger'>,
  sizes: Sizes,
): Promise<void> {
  const [found] = await withClient(url, async (client) => {
    const { rows } = await client.query<{ failed: number; waiting: number; overdue: number; ledger: number }>(
      `SELECT count(*) FILTER (WHERE status = 'failed' AND metadata->>'failureReason' = 'approval_timeout'
                                 AND metadata ? 'pendingToolApproval')::int AS failed,
              count(*) FILTER (WHERE status = 'suspended')::int AS waiting,
              count(*) FILTER (WHERE status = 'suspended'
                                 AND updated_at <= now() - interval '${TIMEOUT_SECONDS} seconds')::int AS overdue,
              (SELECT count(DISTINCT execution_id)::int FROM lapse.timeouts) AS ledger
         FROM workflow_executions`,
    );
    return rows;
  });
  const expected = {
    failed: sizes.overdue,
    waiting: sizes.suspended - sizes.overdue,
    overdue: 0,
    ledger: contender.keepsLedger ? sizes.overdue : 0,
  };
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error(`${contender.name} left ${JSON.stringify(found)}; expected ${JSON.stringify(expected)}`);
  }
}
