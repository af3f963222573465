import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { DataSource } from 'typeorm';
import { DatabaseUnreachableError, NestedTransactionError } from '../src/database/database.errors.js';
import { inShortTransaction, queryOnce, RECORD_LIMITS } from '../src/database/short-transaction.js';
import { DatabaseProxy } from './support/database-proxy.js';
import { eventually } from './support/eventually.js';
import { Lapse } from './support/lapse.js';
import { useDatabase } from './support/world.js';

const world = useDatabase();
let proxy: DatabaseProxy;
let lapse: Lapse;

beforeAll(async () => {
  proxy = await DatabaseProxy.to(world.databaseUrl);
  lapse = await Lapse.start(proxy.url, {
    LAPSE_SWEEP_BATCH_SIZE: '100',
    LAPSE_LOCK_DATABASE_URL: world.databaseUrl,
  });
});
beforeEach(() => world.host.clear());
afterEach(() => world.host.speedUp());
afterAll(async () => {
  await lapse.stop();
  await proxy.stop();
});

function dataSource(): DataSource {
  return lapse.app.get(DataSource);
}

/** How many sessions of Lapse are in a transaction. */
async function openTransactions(): Promise<number> {
  const { rows } = await world.host.pool.query(
    `SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'lapse' AND xact_start IS NOT NULL`,
  );
  return rows[0].count;
}

test('what a request began on a connection that went silent is never committed, and the next requests work', async () => {
  const { host } = world;
  const blocker = await host.pool.connect();
  await blocker.query('BEGIN');
  await blocker.query('LOCK TABLE lapse.audit_log IN ACCESS EXCLUSIVE MODE');
  const creating = lapse.post('/v1/api-keys', { name: 'lost', role: 'admin' });
  await eventually(openTransactions, (count) => count > 0);

  proxy.silence();
  await blocker.query('COMMIT');
  blocker.release();
  const { status } = await creating;
  proxy.mend();

  expect(status).toBe(503);
  const answers = await Promise.all(Array.from({ length: 8 }, () => lapse.get('/v1/api-keys')));
  expect(answers.map((answer) => answer.status)).toEqual(Array(8).fill(200));
  await eventually(openTransactions, (count) => count === 0);
  expect(await keysNamed('lost')).toBe(0);
}, 60_000);

async function keysNamed(name: string): Promise<number> {
  const { rows } = await world.host.pool.query('SELECT count(*)::int AS count FROM lapse.api_keys WHERE name = $1', [
    name,
  ]);
  return rows[0].count;
}

test('the network breaks in the middle of a batch: the host can change its rows again, and the sweep continues', async () => {
  const { host } = world;
  await host.suspendMany(300, 31);
  await host.slowDown(0.01);
  const { body } = await lapse.post('/v1/sweeps?wait=0');
  await eventually(
    () => host.count('failed'),
    (count) => count > 0,
  );

  proxy.silence();
  const approval = await host.pool.connect();
  await approval.query(`SET lock_timeout = '10s'`);
  const { rowCount } = await approval.query(`UPDATE workflow_executions SET request_id = 'changed'`);
  approval.release(true);
  proxy.mend();
  await host.speedUp();

  expect(rowCount).toBe(300);
  await eventually(
    () => lapse.get(`/v1/sweeps/${body.id}`),
    (answer) => answer.body.status !== 'running',
    60_000,
  );
  expect(await host.ledger()).toHaveLength(await host.count('failed'));
}, 120_000);

test.each([
  ['a sweep with a limit times out no more than that', { limit: 100 }, 100],
  ['a sweep counts what it did, once', {}, 250],
])(
  'the answer to a COMMIT is lost: %s',
  async (_what, body, expected) => {
    const { host } = world;
    await host.suspendMany(250, 31);
    const lost = proxy.loseCommitAfter('claimed AS MATERIALIZED');

    const { body: sweep } = await lapse.post('/v1/sweeps?wait=60', body);
    await lost;

    expect(sweep).toMatchObject({ status: 'succeeded', counts: { timedOut: expected, failed: 0 } });
    expect(await host.count('failed')).toBe(expected);
    expect(await host.ledger()).toHaveLength(expected);
  },
  60_000,
);

test('the answer to a COMMIT of an undo is lost: each timeout is taken back once', async () => {
  const { host } = world;
  await host.suspendMany(250, 31);
  const { body: sweep } = await lapse.post('/v1/sweeps?wait=60');
  const lost = proxy.loseCommitAfter("SET status = 'suspended'");

  const { body: undo } = await lapse.post(`/v1/sweeps/${sweep.id}/undo?wait=60`, { reason: 'too short' });
  await lost;

  expect(undo).toMatchObject({ status: 'succeeded', undone: { reopened: 250, alreadyReopened: 0 } });
  expect(await host.count('suspended')).toBe(250);
}, 60_000);

test('a transaction inside another one is refused, because it would wait for a second connection', async () => {
  const nested = inShortTransaction(dataSource(), RECORD_LIMITS, () =>
    queryOnce(dataSource(), RECORD_LIMITS, 'SELECT 1'),
  );

  await expect(nested).rejects.toBeInstanceOf(NestedTransactionError);
  expect(await queryOnce(dataSource(), RECORD_LIMITS, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('thirty cancels at once are answered, and readiness with them', async () => {
  const { host } = world;
  await host.suspendMany(400, 31);
  await host.slowDown(0.02);
  const { body } = await lapse.post('/v1/sweeps?wait=0');

  const answers = await Promise.all([
    ...Array.from({ length: 30 }, () => lapse.post(`/v1/sweeps/${body.id}/cancel`)),
    lapse.get('/health/ready'),
  ]);
  await host.speedUp();

  expect(answers.slice(0, 30).map(({ status }) => status)).toEqual(Array(30).fill(202));
  expect(answers.at(-1)?.status).toBe(200);
}, 60_000);

test('a deadlock is retried', async () => {
  const { host } = world;
  await host.pool.query('CREATE TABLE pairs AS SELECT id, 0 AS n FROM generate_series(1, 2) id');
  const add = (first: number, second: number) =>
    inShortTransaction(dataSource(), RECORD_LIMITS, async (transaction) => {
      await transaction.query('UPDATE pairs SET n = n + 1 WHERE id = $1', [first]);
      await transaction.query('SELECT pg_sleep(0.2)');
      await transaction.query('UPDATE pairs SET n = n + 1 WHERE id = $1', [second]);
    });

  await Promise.all([add(1, 2), add(2, 1)]);

  const { rows } = await host.pool.query('SELECT n FROM pairs ORDER BY id');
  expect(rows).toEqual([{ n: 2 }, { n: 2 }]);
});

test('a server that ends a session is reported as unreachable, and the next statement works', async () => {
  const ended = queryOnce(dataSource(), RECORD_LIMITS, 'SELECT pg_terminate_backend(pg_backend_pid())');

  await expect(ended).rejects.toMatchObject({});
  await ended.catch((error) => expect(error instanceof DatabaseUnreachableError || error.code === '57P01').toBe(true));
  expect(await queryOnce(dataSource(), RECORD_LIMITS, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});
