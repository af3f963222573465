import { setTimeout as delay } from 'node:timers/promises';
import { type INestApplicationContext, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import pg from 'pg';
import { AdvisoryLockService } from '../../src/locks/advisory-lock.service.js';
import { LocksModule } from '../../src/locks/locks.module.js';
import type { Measure } from '../measure.js';
import type { Report } from '../report/report.js';
import { CountingProxy } from '../support/counting-proxy.js';
import { spreadOf, takeTurns } from '../support/statistics.js';

const DATABASE = 'lapse_bench_locks';
const REPLICAS = 8;
const WARM_UP = 200;
const SLICES = 10;

interface Sizes {
  /** How often an empty method is run under a lock. */
  acquisitions: number;
  /** Seconds for which replicas wait for a lock that another one holds. */
  contended: number;
}

/** What a lock costs: taken and given back by one, and waited for by many. */
export const locks: Measure<Sizes> = {
  full: { acquisitions: 3000, contended: 20 },
  quick: { acquisitions: 100, contended: 1 },
  async take(server, sizes, report) {
    Logger.overrideLogger(false);
    const url = await server.create(DATABASE);
    await measureUncontended(url, sizes, report);
    await measureContended(url, sizes, report);
    await server.drop(DATABASE);
  },
};

/** An empty method under a lock and a bare query take turns, each on one connection that is open already. */
async function measureUncontended(url: string, sizes: Sizes, report: Report): Promise<void> {
  const proxy = await CountingProxy.start(url);
  const app = await openLocks(proxy.url);
  const client = new pg.Client({ connectionString: proxy.url });
  await client.connect();
  try {
    const run = () => app.get(AdvisoryLockService).withLock({ name: 'empty', onBusy: 'skip' }, async () => undefined);
    const selectOne = () => client.query('SELECT 1');
    await takeTurns(selectOne, run, WARM_UP);
    proxy.reset();
    await run();
    report.claim('lock: round trips of an empty run', '', spreadOf([proxy.turns]), { atMost: 6 });
    const slices: { one: number; other: number }[] = [];
    for (let slice = 0; slice < SLICES; slice += 1) {
      slices.push(await takeTurns(selectOne, run, Math.ceil(sizes.acquisitions / SLICES)));
    }
    report.figure('lock: SELECT 1', 'ms', spreadOf(slices.map(({ one }) => one)));
    report.figure('lock: an empty run', 'ms', spreadOf(slices.map(({ other }) => other)));
    const ratio = spreadOf(slices.map(({ one, other }) => other / one));
    report.claim('lock: an empty run / SELECT 1', '×', ratio, { atMost: 6 });
  } finally {
    await client.end();
    await app.close();
    await proxy.stop();
  }
}

/** One holds the lock, the others wait for it; what each of those asks meanwhile is counted at the server's door. */
async function measureContended(url: string, sizes: Sizes, report: Report): Promise<void> {
  const holder = await openLocks(url);
  const proxies = await Promise.all(Array.from({ length: REPLICAS - 1 }, () => CountingProxy.start(url)));
  const waiters = await Promise.all(proxies.map((proxy) => openLocks(proxy.url)));
  const lock = (app: INestApplicationContext, work: () => Promise<void>) =>
    app.get(AdvisoryLockService).withLock({ name: 'contended', onBusy: 'wait', waitFor: '10m' }, work);
  try {
    let letGo: () => void = () => undefined;
    let entered = 0;
    let held: Promise<unknown> = Promise.resolve();
    await new Promise<void>((isHeld) => {
      held = lock(holder, () => {
        isHeld();
        return new Promise<void>((resolve) => {
          letGo = resolve;
        });
      });
    });
    const turns = waiters.map((app) =>
      lock(app, async () => {
        entered += 1;
      }),
    );
    await delay(1_000);
    for (const proxy of proxies) {
      proxy.reset();
    }
    await delay(sizes.contended * 1000);
    const perSecond = (counts: number[]) => spreadOf(counts.map((count) => count / sizes.contended));
    report.claim('lock: let in while another holds it', '', spreadOf([entered]), { atMost: 0 });
    report.claim('lock: statements of one that waits', '/s', perSecond(proxies.map((proxy) => proxy.statements)), {
      atMost: 5,
    });
    report.figure('lock: round trips of one that waits', '/s', perSecond(proxies.map((proxy) => proxy.turns)));
    letGo();
    await Promise.all([held, ...turns]);
  } finally {
    await Promise.all([holder, ...waiters].map((app) => app.close()));
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  }
}

function openLocks(databaseUrl: string): Promise<INestApplicationContext> {
  const settings = { application: 'bench', databaseUrl, schema: 'public' };
  return NestFactory.createApplicationContext(LocksModule.for(settings), { abortOnError: false });
}
