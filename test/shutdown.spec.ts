import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from './support/eventually.js';
import { ADMIN_KEY, Lapse } from './support/lapse.js';
import { useDatabase } from './support/world.js';

const world = useDatabase();
const opened: Socket[] = [];
let lapse: Lapse;

beforeEach(async () => {
  await world.host.clear();
  await world.host.pool.query('TRUNCATE lapse.audit_log');
  lapse = await Lapse.start(world.databaseUrl, { LAPSE_SWEEP_BATCH_SIZE: '50' });
});
afterEach(async () => {
  for (const socket of opened.splice(0)) {
    socket.destroy();
  }
  await world.host.speedUp();
  await lapse.stop();
});

/** A connection that sends exactly what it is told to, and keeps what it received. */
async function connection(begin = ''): Promise<{ socket: Socket; received: () => string }> {
  const { hostname, port } = new URL(lapse.url);
  const socket = connect(Number(port), hostname);
  opened.push(socket);
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk;
  });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  if (begin !== '') {
    await new Promise<void>((resolve) => socket.write(begin, () => resolve()));
  }
  return { socket, received: () => received };
}

const lines = (first: string, ...headers: string[]) =>
  [first, 'Host: lapse', `Authorization: Bearer ${ADMIN_KEY}`, ...headers, '', ''].join('\r\n');

/** True once the service takes no new connections. */
const isDraining = () =>
  connection().then(
    ({ socket }) => socket.destroy() && false,
    () => true,
  );

/** Holds every read of the sweeps' table up until it is let go. */
async function holdSweeps(): Promise<() => Promise<void>> {
  const client = await world.host.pool.connect();
  await client.query('BEGIN; LOCK TABLE lapse.sweeps IN ACCESS EXCLUSIVE MODE');
  return async () => {
    await client.query('COMMIT');
    client.release();
  };
}

const waitingStatements = async () =>
  (
    await world.host.pool.query(
      `SELECT count(*)::int AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
    )
  ).rows[0].count as number;

/** Of three kilobytes each: more than the buffers between service and reader hold. */
const ROWS = 3_000;

/** Begins a download of the ledger, of which nothing is read yet but its head. */
async function download(): Promise<IncomingMessage> {
  await world.host.pool.query(
    `INSERT INTO lapse.timeouts (sweep_id, tenant_id, project_id, execution_id, agent_id, conversation_id, tool_call_id, tool_name, suspended_since, deadline, timed_out_at)
     SELECT '01890000-0000-7000-8000-00000000000a', 'acme', 'support', n::text, repeat('x', 1000), repeat('x', 1000), repeat('x', 1000), repeat('x', 1000), now(), now(), now()
       FROM generate_series(1, $1::int) n`,
    [ROWS],
  );
  const request = get(`${lapse.url}/v1/timeouts`, {
    agent: new Agent({ keepAlive: true }),
    headers: { authorization: `Bearer ${ADMIN_KEY}`, accept: 'text/csv' },
  });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.pause();
  return response;
}

test('requests in flight are answered, each connection is closed after its answer, and no new one is taken', async () => {
  const release = await holdSweeps();
  const answers = Array.from({ length: 8 }, () => lapse.get('/v1/sweeps'));
  await eventually(waitingStatements, (count) => count >= 4);

  const stopped = lapse.stop();
  await eventually(isDraining, Boolean);
  await release();

  for (const { status, headers, body } of await Promise.all(answers)) {
    expect([status, headers.get('connection'), body.items]).toEqual([200, 'close', []]);
  }
  await stopped;
});

test('a request that waits for its sweep is answered with the interrupted sweep', async () => {
  await world.host.suspendMany(2_000, 31);
  await world.host.slowDown(0.004);
  const answer = lapse.post('/v1/sweeps?wait=60', {});
  await eventually(
    () => world.host.count('failed'),
    (count) => count >= 100,
  );

  await lapse.stop();

  const { status, body } = await answer;
  expect([status, body.status, body.error]).toEqual([200, 'interrupted', 'The process is shutting down']);
  expect(body.counts.timedOut).toBe(await world.host.count('failed'));
});

test('idle connections are closed at once, used ones and fresh ones', async () => {
  const release = await holdSweeps();
  const [used, fresh] = [await connection(lines('GET /health/live HTTP/1.1')), await connection()];
  await eventually(
    async () => used.received(),
    (received) => received.endsWith('{"status":"ok"}'),
  );
  const answer = lapse.get('/v1/sweeps');
  await eventually(waitingStatements, (count) => count > 0);

  const closed = Promise.all([once(used.socket, 'close'), once(fresh.socket, 'close')]);
  const stopped = lapse.stop();
  await closed;
  expect(await waitingStatements()).toBe(1);
  await release();

  expect((await answer).status).toBe(200);
  await stopped;
});

test.each(['GET /health/ready', 'POST /v1/sweeps', 'POST /run/api/workflows/cleanup-stale'])(
  '%s that arrives during the shutdown on an open connection begins nothing',
  async (route) => {
    await world.host.suspendMany(1, 31);
    const { socket, received } = await connection(`${route} HTTP/1.1\r\n`);
    const stopped = lapse.stop();
    await eventually(isDraining, Boolean);
    socket.write(lines(`X-Rest: of the headers`, 'Content-Length: 0'));
    await once(socket, 'close');
    await stopped;

    expect(received()).toMatch(/^HTTP\/1\.1 503 /);
    expect(received()).toMatch(/^Connection: close\r$/im);
    expect(received()).toMatch(/^Retry-After: \d+\r$/im);
    expect(received()).toMatch(
      route.includes('/run/') ? /\{"error":"Lapse is shutting down/ : /"code":"shutting_down"/,
    );
    expect(await world.host.count('suspended')).toBe(1);
    const { rows } = await world.host.pool.query('SELECT code FROM lapse.audit_log');
    expect(rows).toEqual([]);
  },
);

test('a slow upload that ends during the shutdown is answered', async () => {
  const body = '{"name": "slow", "role": "viewer"}';
  const head = lines('POST /v1/api-keys HTTP/1.1', `Content-Length: ${body.length}`);
  const { socket, received } = await connection(head + body.slice(0, 10));
  await eventually(
    () => lapse.get('/health/live'),
    ({ status }) => status === 200,
  );

  const stopped = lapse.stop();
  await eventually(isDraining, Boolean);
  socket.write(body.slice(10));
  await once(socket, 'close');
  await stopped;

  expect(received()).toMatch(/^HTTP\/1\.1 201 /);
  expect(received()).toMatch(/^Connection: close\r$/im);
});

test('a slow download that is read during the shutdown comes whole', async () => {
  const response = await download();
  const stopped = lapse.stop();
  await eventually(isDraining, Boolean);

  const csv = await text(response);
  await stopped;
  expect(csv.match(/\r\n/g)).toHaveLength(ROWS + 1);
});

test('a large answer whose reader is slow comes whole', async () => {
  await world.host.pool.query(
    `INSERT INTO lapse.sweeps (trigger, dry_run, timeout_seconds, requested_by, lock_name, status, finished_at, reason)
     SELECT 'api', false, 1800, 'somebody', 'x', 'succeeded', now(), repeat('x', 20000) FROM generate_series(1, 500)`,
  );
  const request = get(`${lapse.url}/v1/sweeps?limit=500`, {
    agent: new Agent({ keepAlive: true }),
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.pause();
  const stopped = lapse.stop();
  await eventually(isDraining, Boolean);

  expect(JSON.parse(await text(response)).items).toHaveLength(500);
  await stopped;
});

test('what is not over in time is cut: the service stops all the same, and a download does not look whole', async () => {
  const response = await download();
  const upload = await connection(lines('POST /v1/api-keys HTTP/1.1', 'Content-Length: 100'));
  const began = performance.now();
  await lapse.stop();

  expect(performance.now() - began).toBeLessThan(4_500);
  await expect(text(response)).rejects.toThrow();
  expect(upload.received()).toBe('');
});
