import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from './support/eventually.js';
import { ADMIN_KEY } from './support/lapse.js';
import { endServices, Service } from './support/service-process.js';
import { useDatabase } from './support/world.js';

const world = useDatabase();

beforeEach(() => world.host.clear());
afterEach(async () => {
  await world.host.speedUp();
  await endServices();
});

/** Answered at once: with 202, or with 200 if the sweep has ended by then. */
function requestSweep(url: string): Promise<Response> {
  return fetch(`${url}/v1/sweeps?wait=0`, {
    method: 'POST',
    body: '{}',
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
}

/** Of a sweep that takes a while, because the host is slow. */
async function slowSweepOf(url: string): Promise<{ id: string }> {
  const response = await requestSweep(url);
  expect(response.status).toBe(202);
  expect(response.headers.get('retry-after')).toBe('1');
  const sweep = (await response.json()) as { id: string };
  expect(response.headers.get('location')).toBe(`/v1/sweeps/${sweep.id}`);
  return sweep;
}

async function sweepOf(url: string): Promise<{ id: string }> {
  return (await requestSweep(url)).json() as Promise<{ id: string }>;
}

async function recordOf(id: string): Promise<{ status: string; timed_out: number; error: string | null }> {
  const { rows } = await world.host.pool.query(
    `SELECT status, error,
            timed_out + (SELECT coalesce(sum(c.timed_out), 0)::int FROM lapse.sweep_counts c WHERE c.sweep_id = s.id) AS timed_out
       FROM lapse.sweeps s WHERE id = $1`,
    [id],
  );
  return rows[0];
}

test('every fault of the configuration is told at once, before anything is touched', async () => {
  const service = Service.run({
    DATABASE_URL: 'mysql://root:hunter2@127.0.0.1/x',
    LAPSE_APPROVAL_TIMEOUT: '30 minutes',
    LAPSE_SWEEP_CRON: '* *',
    LAPSE_SWEEP_BATCH_SIZE: '0',
    LAPSE_ADMIN_KEY: 'short',
    LAPSE_SCHEMA: 'a;b',
    LAPSE_TIMEOUT: '5m',
    PORT: '99999',
  });

  expect(await service.end()).toMatchObject({ code: 1 });
  for (const name of [
    'DATABASE_URL',
    'LAPSE_APPROVAL_TIMEOUT',
    'LAPSE_SWEEP_CRON',
    'LAPSE_SWEEP_BATCH_SIZE',
    'LAPSE_ADMIN_KEY',
    'LAPSE_SCHEMA',
    'LAPSE_TIMEOUT',
    'PORT',
  ]) {
    expect(service.output).toMatch(new RegExp(`[:;] ${name} `));
  }
  expect(service.output).toMatch(/The configuration has 8 faults: [^\n]+\n$/);
  expect(service.output.match(/\n/g)).toHaveLength(1);
  expect(service.output).not.toMatch(/hunter2|short|at .*\.ts:/);
});

test('no credential, and no password of the database, is in the log, whatever is called', async () => {
  const service = Service.run({ DATABASE_URL: world.databaseUrl, CRON_SECRET: 'cron-secret-0123456789' });
  const url = await service.url();
  const call = (method: string, path: string, key: string, body?: string) =>
    fetch(url + path, { method, headers: { authorization: `Bearer ${key}` }, ...(body ? { body } : {}) });
  const created = await call('POST', '/v1/api-keys', ADMIN_KEY, '{"name": "x", "role": "admin"}');
  const { key } = (await created.json()) as { key: string };
  await call('GET', '/api/cron/cleanup-stale-workflows', 'cron-secret-0123456789');
  await call('POST', '/v1/sweeps', 'a-guess-at-a-secret', '{}');
  await call('POST', '/v1/sweeps', key, '{"password": "hunter2"}');
  await world.host.pool.query('ALTER TABLE lapse.sweeps RENAME TO away');
  const { status } = await call('GET', '/v1/sweeps', key);
  await world.host.pool.query('ALTER TABLE lapse.away RENAME TO sweeps');
  await service.end('SIGTERM');

  expect(status).toBe(500);
  expect(service.output).toMatch(/GET \/v1\/sweeps failed/);
  const { password } = new URL(world.databaseUrl);
  const secrets = [ADMIN_KEY, key.split('_')[2], 'cron-secret-0123456789', 'a-guess-at-a-secret', 'hunter2', password];
  expect(secrets.filter((secret) => secret && service.output.includes(secret))).toEqual([]);
}, 60_000);

test('SIGTERM in the middle of a sweep answers who waits for it, and ends the process within 5 seconds', async () => {
  await world.host.suspendMany(2_000, 31);
  await world.host.slowDown(0.004);
  const service = Service.run({ DATABASE_URL: world.databaseUrl, LAPSE_SWEEP_BATCH_SIZE: '50' });
  const answer = fetch(`${await service.url()}/v1/sweeps?wait=60`, {
    method: 'POST',
    body: '{}',
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  await eventually(
    () => world.host.count('failed'),
    (count) => count >= 100,
  );

  // A second signal changes nothing.
  const [{ code, ms }] = await Promise.all([service.end('SIGTERM'), service.end('SIGTERM')]);

  expect(code).toBe(0);
  expect(ms).toBeLessThan(5_000);
  const response = await answer;
  expect([response.status, response.headers.get('connection')]).toEqual([200, 'close']);
  const { id } = (await response.json()) as { id: string };
  const sweep = await recordOf(id);
  expect(sweep).toMatchObject({ status: 'interrupted', error: 'The process is shutting down' });
  expect(sweep.timed_out).toBe(await world.host.count('failed'));
  expect(await world.host.ledger()).toHaveLength(sweep.timed_out);
  expect(sweep.timed_out).toBeLessThan(2_000);
}, 60_000);

test('kill -9 in the middle of a sweep loses nothing, and the next sweep of the scope says so and goes on', async () => {
  await world.host.suspendMany(1_000, 31);
  await world.host.slowDown(0.004);
  const first = Service.run({ DATABASE_URL: world.databaseUrl, LAPSE_SWEEP_BATCH_SIZE: '50' });
  const { id } = await slowSweepOf(await first.url());
  await eventually(
    () => recordOf(id),
    ({ timed_out }) => timed_out >= 100,
  );

  await first.end('SIGKILL');
  await world.host.speedUp();
  const second = Service.run({ DATABASE_URL: world.databaseUrl });
  const next = await sweepOf(await second.url());
  await eventually(
    () => recordOf(next.id),
    ({ status }) => status === 'succeeded',
  );

  const [crashed, finished] = [await recordOf(id), await recordOf(next.id)];
  expect(crashed).toMatchObject({ status: 'interrupted', error: expect.stringContaining('ended without finishing') });
  expect(crashed.timed_out + finished.timed_out).toBe(1_000);
  expect(await world.host.count('failed')).toBe(1_000);
  expect(await world.host.ledger()).toHaveLength(1_000);
}, 60_000);

test('kill -9 in the middle of an undo of 20,000: undone again, every execution is accounted for once', async () => {
  const { host } = world;
  await host.suspendMany(20_000, 31);
  const first = Service.run({ DATABASE_URL: world.databaseUrl });
  const { id: sweepId } = await sweepOf(await first.url());
  await eventually(
    () => recordOf(sweepId),
    ({ status }) => status === 'succeeded',
    20_000,
  );
  const undo = async (url: string, wait: number): Promise<string> => {
    const response = await fetch(`${url}/v1/sweeps/${sweepId}/undo?wait=${wait}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
      body: '{"reason": "the timeout was too short"}',
    });
    return ((await response.json()) as { id: string }).id;
  };
  const undoOf = async (id: string) =>
    (
      await host.pool.query(
        `SELECT status, already_reopened,
                reopened + (SELECT coalesce(sum(c.reopened), 0)::int FROM lapse.sweep_counts c WHERE c.sweep_id = s.id) AS reopened,
                changed_since + gone + failed AS others,
                (SELECT count(*)::int FROM lapse.undo_outcomes WHERE undo_id = $1) AS outcomes
           FROM lapse.sweeps s WHERE id = $1`,
        [id],
      )
    ).rows[0];
  await host.slowDown(0.0002);
  const killed = await undo(await first.url(), 0);
  await eventually(
    () => undoOf(killed),
    ({ reopened }) => reopened >= 2_000,
    20_000,
  );

  await first.end('SIGKILL');
  await host.speedUp();
  const second = Service.run({ DATABASE_URL: world.databaseUrl });
  const finished = await undo(await second.url(), 60);

  const [before, after] = [await undoOf(killed), await undoOf(finished)];
  expect(before).toMatchObject({ status: 'interrupted', outcomes: before.reopened });
  expect(before.reopened).toBeLessThan(20_000);
  expect(after).toMatchObject({ status: 'succeeded', already_reopened: before.reopened, others: 0, outcomes: 20_000 });
  expect(before.reopened + after.reopened).toBe(20_000);
  expect(await host.count('suspended')).toBe(20_000);
  const { rows } = await host.pool.query(
    `SELECT undo_id, count(*)::int AS count FROM lapse.timeouts WHERE reopened_at IS NOT NULL GROUP BY 1`,
  );
  expect(Object.fromEntries(rows.map(({ undo_id, count }) => [undo_id, count]))).toEqual({
    [killed]: before.reopened,
    [finished]: after.reopened,
  });
}, 90_000);

test('a sweep is cancelled after its batch by a replica that does not run it', async () => {
  await world.host.suspendMany(2_000, 31);
  await world.host.slowDown(0.004);
  const [runs, cancels] = [0, 1].map(() =>
    Service.run({ DATABASE_URL: world.databaseUrl, LAPSE_SWEEP_BATCH_SIZE: '50' }),
  ) as [Service, Service];
  const { id } = await slowSweepOf(await runs.url());
  const other = await cancels.url();
  const cancel = () =>
    fetch(`${other}/v1/sweeps/${id}/cancel`, { method: 'POST', headers: { authorization: `Bearer ${ADMIN_KEY}` } });

  expect((await cancel()).status).toBe(202);
  const sweep = await eventually(
    () => recordOf(id),
    ({ status }) => status !== 'running',
  );

  expect(sweep.status).toBe('cancelled');
  expect(sweep.timed_out).toBe(await world.host.count('failed'));
  expect(sweep.timed_out).toBeLessThan(2_000);
  expect((await cancel()).status).toBe(409);
}, 60_000);
