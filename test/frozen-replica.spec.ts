import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { hostname } from 'node:os';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { eventually } from './support/eventually.js';
import { ADMIN_KEY, Lapse } from './support/lapse.js';
import { useDatabase } from './support/world.js';

const SCHEDULE = { LAPSE_SWEEP_CRON: '* * * * * *', LAPSE_SWEEP_TIME_BUDGET: '5s', LAPSE_SWEEP_BATCH_SIZE: '50' };

const world = useDatabase();
let replica: ChildProcess | undefined;
let output = '';

beforeEach(() => world.host.clear());
afterEach(async () => {
  await world.host.speedUp();
  if (replica) {
    const exited = once(replica, 'exit');
    replica.kill('SIGKILL');
    await exited;
  }
});

/** A replica as a process of its own, because only a process can be frozen. */
function startReplica(): ChildProcess {
  const child = spawn(process.execPath, ['dist/main.js'], {
    env: {
      PATH: process.env.PATH,
      HOST: '127.0.0.1',
      PORT: '0',
      LAPSE_ADMIN_KEY: ADMIN_KEY,
      DATABASE_URL: world.databaseUrl,
      ...SCHEDULE,
    },
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output += chunk;
    });
  }
  return child;
}

test('if the replica that sweeps is frozen, another one says so, takes over, and the frozen one does no more when it wakes', async () => {
  const { host } = world;
  const sweeps = async () =>
    (await host.pool.query('SELECT id, status, timed_out FROM lapse.sweeps ORDER BY id LIMIT 1')).rows;
  const ledgerOf = async (id: string) =>
    (await host.pool.query('SELECT count(*)::int AS count FROM lapse.timeouts WHERE sweep_id = $1', [id])).rows[0]
      .count;
  await host.suspendMany(3_000, 31);
  await host.slowDown(0.004);
  replica = startReplica();
  await eventually(
    () => host.count('failed'),
    (count) => count > 50,
    30_000,
  );
  const [{ id }] = await sweeps();

  replica.kill('SIGSTOP');
  // The batch of the frozen replica may have locked some of them.
  const owner = await host.pool.connect();
  await owner.query(`SET lock_timeout = '10s'`);
  const { rowCount } = await owner.query('SELECT FROM workflow_executions FOR UPDATE');
  owner.release(true);
  expect(rowCount).toBe(3_000);
  const other = await Lapse.start(world.databaseUrl, SCHEDULE);
  const warnings: string[] = [];
  Logger.overrideLogger({ log: () => undefined, warn: (line: string) => warnings.push(line), error: () => undefined });
  const holder = (await other.get('/v1/locks')).body.items[0];
  const [warning] = await eventually(
    async () => warnings,
    ({ length }) => length > 0,
    25_000,
  );
  await eventually(sweeps, ([first]) => first.status === 'interrupted', 25_000);
  await host.speedUp();
  await eventually(
    () => host.count('failed'),
    (count) => count === 3_000,
  );

  const applicationName = `lapse ${hostname().slice(0, 24)}/${replica.pid} sweep`;
  expect(holder).toMatchObject({ name: 'sweep', applicationName });
  expect(warning).toMatch(/^No scheduled sweep ended well at the last two ticks/);
  expect(warning).toContain(
    `the lock "sweep" is held by "${applicationName}" (PostgreSQL process ${holder.pid}) since`,
  );

  const [before, count] = [await sweeps(), await ledgerOf(id)];
  expect(before).toEqual([{ id, status: 'interrupted', timed_out: count }]);
  await host.suspendMany(200, 31, 'globex');
  replica.kill('SIGCONT');
  await eventually(
    async () => output,
    (text) => /The lock \\?"sweep\\?" was lost/.test(text),
  );
  await eventually(
    () => host.count('failed'),
    (failed) => failed === 3_200,
  );
  expect(await sweeps()).toEqual(before);
  expect(await ledgerOf(id)).toBe(count);
}, 120_000);
