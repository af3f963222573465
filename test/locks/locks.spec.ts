import { afterEach, expect, test } from '@jest/globals';
import type pg from 'pg';
import { AdvisoryLockService } from '../../src/locks/advisory-lock.service.js';
import { advisoryLockKey } from '../../src/locks/advisory-lock-key.js';
import { LockHolders } from '../../src/locks/lock-holders.service.js';
import { LockBusy } from '../../src/locks/lock-options.js';
import { lockSignal } from '../../src/locks/lock-signal.js';
import {
  LockMissingError,
  LockOptionsInvalidError,
  LocksUnreliableError,
  LockUnavailableError,
} from '../../src/locks/locks.errors.js';
import { DatabaseProxy } from '../support/database-proxy.js';
import { eventually } from '../support/eventually.js';
import { PgBouncer, pgBouncerIsInstalled } from '../support/pgbouncer.js';
import { useDatabase } from '../support/world.js';
import { openApplication, stopApplications } from './applications.js';

const world = useDatabase();
afterEach(stopApplications);

/** Stands for a replica: it has connections and a queue of its own. */
async function openReplica(databaseUrl = world.databaseUrl, schema = 'public') {
  const app = await openApplication({ databaseUrl, schema });
  return { locks: app.get(AdvisoryLockService), holders: app.get(LockHolders) };
}

/** Holds the lock until the application is stopped. */
async function hold(locks: AdvisoryLockService, name: string): Promise<void> {
  await new Promise<void>((held, refused) => {
    locks
      .withLock({ name, onBusy: 'skip' }, async (signal) => {
        held();
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      })
      .catch(refused);
  });
}

const runs = async () => 'ran';

test('who is refused is told who holds the lock', async () => {
  const [first, second] = [await openReplica(), await openReplica()];
  await hold(first.locks, 'sweep');

  const outcome = await second.locks.withLock({ name: 'sweep', onBusy: 'skip' }, runs);

  expect(outcome).toBeInstanceOf(LockBusy);
  expect((outcome as LockBusy).holder).toEqual({
    name: 'sweep',
    since: expect.any(Date),
    applicationName: expect.stringMatching(new RegExp(`^tested .+/${process.pid} sweep$`)),
    clientAddress: '127.0.0.1',
    pid: expect.any(Number),
  });
});

test('the locks that are held can be listed by whatever name, those of another schema cannot', async () => {
  const [first, second] = [await openReplica(), await openReplica()];
  const foreign = await openReplica(world.databaseUrl, 'another');
  const strange = `of "it's" */ DROP TABLE workflow_executions; /* \n\0 ${'ü'.repeat(300)}`;
  await hold(first.locks, 'sweep');
  await hold(first.locks, strange);
  await hold(foreign.locks, 'foreign');

  const held = await second.holders.all();

  expect(held.map(({ name }) => name)).toEqual(['sweep', `${strange.slice(0, 200)}…`]);
  expect((await second.holders.of(strange))?.pid).toBe(held[1]?.pid);
  expect(await second.holders.of('foreign')).toBeUndefined();
  // The copies of a template share the ids of their tables.
  const { rows } = await world.host.pool.query(
    `SELECT FROM pg_locks WHERE relation = 'workflow_executions'::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  expect(rows).toEqual([]);
});

test('whoever holds the key of a name is found, by whatever program, mode and level; other keys are not', async () => {
  const { holders } = await openReplica();
  const { pool } = world.host;
  const { rows } = await pool.query('SELECT current_database() AS database');
  const keyOf = (name: string, schema = 'public') =>
    advisoryLockKey({ application: 'tested', database: rows[0].database, schema, name });
  const sessions = await Promise.all([1, 2, 3, 4].map(() => pool.connect()));
  const [forSession, shared, inTransaction, others] = sessions as [
    pg.PoolClient,
    pg.PoolClient,
    pg.PoolClient,
    pg.PoolClient,
  ];
  await forSession.query(`SET application_name = 'by hand'`);
  await forSession.query('SELECT pg_advisory_lock($1), pg_advisory_lock_shared($1)', [keyOf('a')]);
  await shared.query('SELECT pg_advisory_lock_shared($1)', [keyOf('b')]);
  await inTransaction.query('BEGIN');
  await inTransaction.query('SELECT pg_advisory_xact_lock($1)', [keyOf('c')]);
  const key = BigInt.asUintN(64, BigInt(keyOf('d')));
  const asInt4 = (half: bigint) => BigInt.asIntN(32, half).toString();
  await others.query('SELECT pg_advisory_lock($1), pg_advisory_lock($2::int, $3::int)', [
    keyOf('a', 'another'),
    asInt4(key >> 32n),
    asInt4(key),
  ]);

  const [found, ofA, ofD] = [await holders.all(['a', 'b', 'c', 'd']), await holders.of('a'), await holders.of('d')];
  await inTransaction.query('ROLLBACK');
  for (const session of sessions) {
    session.release(true);
  }

  expect(found.map(({ name, since, pid }) => [name, since instanceof Date, typeof pid]).sort()).toEqual(
    ['a', 'b', 'c'].map((name) => [name, true, 'number']),
  );
  expect(ofA).toMatchObject({ name: 'a', applicationName: 'by hand' });
  expect(found.find(({ name }) => name === 'b')?.applicationName).toBe(`role ${new URL(world.databaseUrl).username}`);
  expect(ofD).toBeUndefined();
});

test('a role that may not see other sessions still finds their locks, with what PostgreSQL shows', async () => {
  const { locks } = await openReplica();
  const role = `onlooker_${Date.now()}`;
  await world.host.pool.query(`CREATE ROLE ${role} LOGIN PASSWORD 'hunter2'`);
  const url = new URL(world.databaseUrl);
  [url.username, url.password] = [role, 'hunter2'];
  await hold(locks, 'hidden');

  const found = await (await openReplica(url.href)).holders.all(['hidden']);
  await stopApplications();
  await world.host.pool.query(`DROP ROLE ${role}`);

  expect(found).toEqual([
    {
      name: 'hidden',
      since: null,
      applicationName: expect.stringMatching(/^tested .* hidden$/),
      clientAddress: null,
      pid: expect.any(Number),
    },
  ]);
});

test('a held lock holds neither a snapshot nor a transaction id, whenever one looks', async () => {
  const { locks } = await openReplica();
  await hold(locks, 'still');
  const look = async () =>
    (
      await world.host.pool.query(
        `SELECT state, backend_xmin, backend_xid, query_start > xact_start + interval '1 second' AS "heartBeat"
           FROM pg_stat_activity WHERE application_name LIKE 'tested % still'`,
      )
    ).rows;
  const idle = { state: 'idle in transaction', backend_xmin: null, backend_xid: null };

  expect(await look()).toEqual([{ ...idle, heartBeat: false }]);
  await eventually(look, ([row]) => row.heartBeat);
  expect(await look()).toEqual([{ ...idle, heartBeat: true }]);
});

test('timeouts of the role do not end a lock that is held', async () => {
  const { pool } = world.host;
  const { rows } = await pool.query('SELECT current_setting($1, true) AS exists', ['transaction_timeout']);
  const url = new URL(world.databaseUrl);
  const timeouts = ['idle_in_transaction_session_timeout', ...(rows[0].exists === null ? [] : ['transaction_timeout'])];
  url.searchParams.set('options', timeouts.map((name) => `-c ${name}=300`).join(' '));
  const { locks } = await openReplica(url.href);

  const outcome = await locks.withLock({ name: 'patient', onBusy: 'skip', atLeast: '1s' }, async (signal) => signal);

  expect(outcome).toMatchObject({ aborted: false });
  expect(locks.counts.get('patient')).toMatchObject({ lost: 0 });
});

test('where the database of the locks is away, that is an error and never "free"', async () => {
  const proxy = await DatabaseProxy.to(world.databaseUrl);
  const { locks, holders } = await openReplica(proxy.url);
  proxy.cut();
  let ran = false;

  const attempt = locks.withLock({ name: 'away', onBusy: 'wait' }, async () => {
    ran = true;
  });

  await expect(attempt).rejects.toThrow(LockUnavailableError);
  await expect(holders.all()).rejects.toThrow(LockUnavailableError);
  expect(ran).toBe(false);
  proxy.mend();
  expect(await locks.withLock({ name: 'away', onBusy: 'skip' }, runs)).toBe('ran');
  await proxy.stop();
});

test('a database that goes silent while it is asked is an error within some seconds', async () => {
  const proxy = await DatabaseProxy.to(world.databaseUrl);
  const { locks } = await openReplica(proxy.url);
  proxy.silence();
  await expect(locks.withLock({ name: 'silent', onBusy: 'skip' }, runs)).rejects.toThrow(LockUnavailableError);
  await proxy.stop();
});

test('a release that goes unanswered frees the caller, and the result is the one of the work', async () => {
  const proxy = await DatabaseProxy.to(world.databaseUrl);
  const { locks } = await openReplica(proxy.url);
  const outcome = await locks.withLock({ name: 'silent', onBusy: 'skip' }, async () => {
    proxy.silence();
    return 'ran';
  });
  expect(outcome).toBe('ran');
  await proxy.stop();
});

test('attempts, runs, refusals, losses and the time held are counted', async () => {
  const [first, second] = [await openReplica(), await openReplica()];
  const asOne = { countAs: 'sweep of a tenant', onBusy: 'skip' } as const;

  await first.locks.withLock({ ...asOne, name: 'sweep of acme' }, async () => {
    await second.locks.withLock({ ...asOne, name: 'sweep of acme' }, runs);
    await second.locks.withLock({ ...asOne, name: 'sweep of globex', atLeast: '200ms' }, runs);
  });
  await first.locks.withLock({ ...asOne, name: 'sweep of acme', atMost: '100ms' }, (signal) =>
    eventually(
      async () => signal.aborted,
      (aborted) => aborted,
    ),
  );

  expect(Object.fromEntries(first.locks.counts)).toEqual({
    'sweep of a tenant': { attempts: 2, acquired: 2, skipped: 0, lost: 1, heldSeconds: expect.any(Number) },
  });
  const counts = second.locks.counts.get('sweep of a tenant');
  expect(counts).toMatchObject({ attempts: 2, acquired: 1, skipped: 1, lost: 0 });
  expect(counts?.heldSeconds).toBeGreaterThan(0.19);
  expect(counts?.heldSeconds).toBeLessThan(5);
});

test.each([
  ['an empty name', { name: '', onBusy: 'skip' } as const, /name is empty/],
  ['what no timer can wait', { name: 'a', onBusy: 'skip', atMost: '25d' } as const, /atMost is 25d; 24 days/],
  [
    'more than the most',
    { name: 'a', onBusy: 'skip', atLeast: '2s', atMost: '1s' } as const,
    /atLeast \(2s\) is longer/,
  ],
])('%s is refused', async (_what, options, message) => {
  const { locks } = await openReplica();
  const attempt = locks.withLock(options, runs);
  await expect(attempt).rejects.toThrow(LockOptionsInvalidError);
  await expect(attempt).rejects.toThrow(message);
});

test('lockSignal() outside a lock is an error, so that nothing runs unguarded by mistake', async () => {
  const { locks } = await openReplica();
  expect(() => lockSignal()).toThrow(LockMissingError);
  const inside = locks.withLock({ name: 'inside', onBusy: 'skip' }, async (signal) => lockSignal() === signal);
  expect(await inside).toBe(true);
});

test('a database whose lock functions lock nothing stops the boot', async () => {
  await world.host.pool.query(`
    CREATE SCHEMA stub;
    CREATE FUNCTION stub.pg_try_advisory_xact_lock(bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true'`);
  const url = new URL(world.databaseUrl);
  url.searchParams.set('options', '-c search_path=stub,pg_catalog');

  const boot = openReplica(url.href);

  await expect(boot).rejects.toThrow(LocksUnreliableError);
  await expect(boot).rejects.toThrow(/through 127\.0\.0\.1:\d+\/\w+: two connections held the same lock at once/);
});

(pgBouncerIsInstalled ? test : test.skip)(
  'a pooler in statement mode stops the boot (skipped where pgbouncer is not installed)',
  async () => {
    const bouncer = await PgBouncer.before(world.databaseUrl, 'statement');
    const outcome = await openReplica(bouncer.url).catch((error) => error);
    await bouncer.stop();
    expect(outcome).toBeInstanceOf(LocksUnreliableError);
    expect(outcome.message).toMatch(/statement pooling/);
  },
);
