import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { PgBouncer, pgBouncerIsInstalled } from '../support/pgbouncer.js';
import { useDatabase } from '../support/world.js';
import { openLocks } from './advisory-locks.js';
import type { LocksUnderTest } from './lock-contract.js';
import { LockProcess } from './lock-process.js';

/** How far each replica's clock is off. */
const SKEWS_MS = [-200, -150, -100, -50, 50, 100, 150, 200];
const TICKS = 30;

const world = useDatabase();
const replicas: ChildProcess[] = [];
let locks: LocksUnderTest;
let letGo: () => void;
let holding: Promise<unknown>;
let frozen: Frozen[];

interface Route {
  title: string;
  url: string;
  stop(): Promise<void>;
}

interface Frozen extends Route {
  holder: LockProcess;
  waiting: LocksUnderTest;
  /** Seconds from the freeze until the lock was free. */
  taken: Promise<number>;
}

/** The minute of the second test begins here, so that it passes while the first one runs. */
beforeAll(async () => {
  locks = await openLocks(world.databaseUrl);
  const until = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  holding = locks.withLock({ name: 'a minute', onBusy: 'skip' }, () => until);
});
/** So do the 20 seconds of the third one. */
beforeAll(async () => {
  const routes: Route[] = [{ title: 'directly', url: world.databaseUrl, stop: async () => {} }];
  if (pgBouncerIsInstalled) {
    const bouncer = await PgBouncer.before(world.databaseUrl, 'transaction');
    routes.push({ title: 'through PgBouncer in transaction mode', url: bouncer.url, stop: () => bouncer.stop() });
  }
  frozen = await Promise.all(routes.map(freezeHolder));
}, 30_000);
afterAll(async () => {
  await Promise.all(
    (frozen ?? []).map(async ({ holder, waiting, stop }) => {
      await holder.end('SIGKILL');
      await waiting.close();
      await stop();
    }),
  );
});
afterAll(async () => {
  letGo?.();
  await holding;
  await locks?.close();
  await Promise.all(replicas.map(end));
});

/** Freezes a process that holds a lock, and waits for the lock. */
async function freezeHolder(route: Route): Promise<Frozen> {
  const holder = LockProcess.start('./advisory-locks.js');
  const name = `frozen ${route.title}`;
  await holder.open(route.url);
  await holder.hold(name);
  holder.signal('SIGSTOP');
  const since = performance.now();
  const waiting = await openLocks(route.url);
  const taken = waiting
    .withLock({ name, onBusy: 'wait', waitFor: '60s' }, async () => undefined)
    .then((outcome) => (outcome === 'busy' ? Number.POSITIVE_INFINITY : (performance.now() - since) / 1000));
  return { ...route, holder, waiting, taken };
}

async function startReplica(skewMs: number): Promise<void> {
  const replica = fork('dist/test/locks/ticking-replica.js', [world.databaseUrl], {
    execArgv: ['--enable-source-maps'],
    env: { ...process.env, CLOCK_SKEW_MS: String(skewMs) },
  });
  replicas.push(replica);
  await once(replica, 'message');
}

async function end(replica: ChildProcess): Promise<void> {
  if (replica.connected) {
    const exited = once(replica, 'exit');
    replica.disconnect();
    await exited;
  }
}

test(`8 replicas with clocks skewed by up to 400 ms run once at each of ${TICKS} ticks, and never overlap`, async () => {
  const { pool } = world.host;
  await pool.query('CREATE TABLE runs (id serial, tick bigint, replica int, began timestamptz, ended timestamptz)');
  await Promise.all(SKEWS_MS.map(startReplica));
  const first = Math.floor(Date.now() / 1000) + 2;

  await eventually(
    async () => (await pool.query('SELECT max(tick)::int AS tick FROM runs WHERE ended IS NOT NULL')).rows[0].tick,
    (tick) => tick > first + TICKS,
    60_000,
  );

  const { rows } = await pool.query(
    `SELECT tick - $1 AS tick, began < lag(ended) OVER (ORDER BY began) AS overlaps
       FROM runs WHERE tick >= $1 AND tick < $1 + $2 ORDER BY began`,
    [first, TICKS],
  );
  expect(rows.map(({ tick }) => Number(tick))).toEqual(Array.from({ length: TICKS }, (_, tick) => tick));
  expect(rows.filter(({ overlaps }) => overlaps)).toEqual([]);
  await Promise.all(replicas.map(end));
}, 120_000);

test('a frozen holder loses its lock after 20 seconds, with or without a pooler, and stops its work when it wakes', async () => {
  for (const { title, holder, taken } of frozen) {
    const seconds = await taken;
    expect([title, seconds > 14, seconds < 27]).toEqual([title, true, true]);
    holder.signal('SIGCONT');
    expect(await holder.stopped()).toBe('stopped: LockLostError');
  }
}, 60_000);

test('a table that is vacuumed while a lock has been held for a minute loses its dead rows', async () => {
  const { pool } = world.host;
  await pool.query('CREATE TABLE dead AS SELECT n FROM generate_series(1, 10000) n');
  await eventually(
    async () =>
      (
        await pool.query(
          `SELECT now() - xact_start > interval '1 minute' AS held, backend_xmin, backend_xid
             FROM pg_stat_activity WHERE application_name LIKE 'contract % a minute'`,
        )
      ).rows,
    ([row]) => row.held,
    70_000,
  );

  await pool.query('DELETE FROM dead');
  await pool.query('VACUUM dead');

  const { rows } = await pool.query(`SELECT pg_relation_size('dead') AS bytes`);
  expect(rows).toEqual([{ bytes: '0' }]);
}, 120_000);
