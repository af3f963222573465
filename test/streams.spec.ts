import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { StalledReaders } from '../src/http/stalled-readers.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { Issuer } from './support/issuer.js';
import { ADMIN_KEY, Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const issuer = await Issuer.start();
afterAll(() => issuer.stop());
const world = useWorld(issuer.environment);

const SWEEP = '01890000-0000-7000-8000-00000000000a';
const EVENTS = `/v1/sweeps/${SWEEP}/events`;
const LEDGER = '/v1/timeouts';

/** Of three kilobytes each: more than the buffers between service and reader hold. */
const ROWS = 3_000;

beforeAll(() => holdLock(world.lapse, 'a running sweep'));

const open: Stream[] = [];
beforeEach(() =>
  world.host.pool.query(
    `INSERT INTO lapse.sweeps (id, trigger, tenant_id, dry_run, timeout_seconds, requested_by, lock_name)
     VALUES ('${SWEEP}', 'api', 'acme', false, 1800, 'somebody', 'a running sweep')`,
  ),
);
afterEach(() => {
  for (const stream of open.splice(0)) {
    stream.close();
  }
});

const fillLedger = () =>
  world.host.pool.query(
    `INSERT INTO lapse.timeouts (sweep_id, tenant_id, project_id, execution_id, agent_id, conversation_id, tool_call_id, tool_name, suspended_since, deadline, timed_out_at)
     SELECT '${SWEEP}', 'acme', 'support', n::text, repeat('x', 1000), repeat('x', 1000), repeat('x', 1000), repeat('x', 1000), now(), now(), now() FROM generate_series(1, ${ROWS}) n`,
  );

/** An answer of which nothing is read until somebody asks for it. */
class Stream {
  private constructor(
    readonly response: IncomingMessage,
    private readonly serverSide: Socket,
  ) {
    response.pause();
    response.on('error', () => undefined);
  }

  static async open(path: string, key: string, lapse = world.lapse): Promise<Stream> {
    const accepted = once(lapse.app.getHttpServer(), 'connection');
    const request = get(lapse.url + path, {
      agent: new Agent({ keepAlive: true }),
      headers: { authorization: `Bearer ${key}`, accept: 'text/csv, text/event-stream;q=0.5' },
    });
    const [[response], [socket]] = (await Promise.all([once(request, 'response'), accepted])) as [
      [IncomingMessage],
      [Socket],
    ];
    const stream = new Stream(response, socket);
    open.push(stream);
    return stream;
  }

  get status(): number | undefined {
    return this.response.statusCode;
  }

  /** As the service sees it: whoever reads nothing doesn't see that a connection is closed. */
  get isOpen(): boolean {
    return !this.serverSide.destroyed;
  }

  /** Reads and forgets whatever comes. */
  drain(): this {
    this.response.resume();
    return this;
  }

  close(): void {
    this.response.destroy();
  }
}

async function createdKey(expiresAt?: string): Promise<{ id: string; key: string }> {
  const { body } = await world.lapse.post('/v1/api-keys', { name: 'x', role: 'viewer', tenantId: 'acme', expiresAt });
  return body;
}

test('event streams and downloads are cut within five seconds of the end of their credential, and no others', async () => {
  await fillLedger();
  const { lapse, host } = world;
  const other = await Lapse.start(world.databaseUrl, issuer.environment);
  const openBoth = async (key: string) => [(await Stream.open(EVENTS, key)).drain(), await Stream.open(LEDGER, key)];
  const soon = Math.floor(Date.now() / 1000) * 1000 + 8_000;
  const token = await issuer.token({ tenant_id: 'acme', role: 'viewer', exp: soon / 1000 });
  const expires = await createdKey(new Date(soon).toISOString());
  const ending = [...(await openBoth(token)), ...(await openBoth(expires.key))];
  const [stays, revoked, revokedElsewhere, deleted] = [
    await createdKey(),
    await createdKey(),
    await createdKey(),
    await createdKey(),
  ];
  for (const { key } of [revoked, revokedElsewhere, deleted]) {
    ending.push(...(await openBoth(key)));
  }
  const lasting = await issuer.token({ tenant_id: 'acme', role: 'viewer', sub: 'bob' });
  const kept = [...(await openBoth(stays.key)), ...(await openBoth(lasting)), ...(await openBoth(ADMIN_KEY))];
  expect([...kept, ...ending].map(({ status }) => status)).toEqual(Array(16).fill(200));

  await lapse.delete(`/v1/api-keys/${revoked.id}`);
  await other.delete(`/v1/api-keys/${revokedElsewhere.id}`);
  await host.pool.query('DELETE FROM lapse.api_keys WHERE id = $1', [deleted.id]);
  const byThen = Math.max(Date.now(), soon) + 5_000;
  await eventually(
    async () => ending.map(({ isOpen }) => isOpen),
    (states) => !states.includes(true),
    byThen - Date.now(),
  );
  for (const { response } of ending) {
    await expect(text(response)).rejects.toThrow();
  }
  expect(kept.map(({ isOpen }) => isOpen)).toEqual(Array(6).fill(true));
  await other.stop();
}, 60_000);

test('an answer whose reader stalls is cut; one that is read, or that waits for events, is not', async () => {
  await fillLedger();
  const lapse = await Lapse.start(world.databaseUrl);
  const readers = lapse.app.get(StalledReaders);
  readers.timeoutMs = 500;
  const events = (await Stream.open(EVENTS, ADMIN_KEY, lapse)).drain();
  const stalled = await Stream.open(LEDGER, ADMIN_KEY, lapse);
  await eventually(
    async () => stalled.isOpen,
    (isOpen) => !isOpen,
  );

  await expect(text(stalled.response)).rejects.toThrow();
  const read = await Stream.open(LEDGER, ADMIN_KEY, lapse);
  expect((await text(read.response)).match(/\r\n/g)).toHaveLength(ROWS + 1);
  expect(events.isOpen).toBe(true);
  await lapse.stop();
});

test('a page whose reader stalls is cut as well', async () => {
  await world.host.pool.query(
    `INSERT INTO lapse.sweeps (trigger, dry_run, timeout_seconds, requested_by, lock_name, status, finished_at, reason)
     SELECT 'api', false, 1800, 'somebody', 'x', 'succeeded', now(), repeat('x', 20000) FROM generate_series(1, 500)`,
  );
  const lapse = await Lapse.start(world.databaseUrl);
  lapse.app.get(StalledReaders).timeoutMs = 500;
  const page = await Stream.open('/v1/sweeps?limit=500', ADMIN_KEY, lapse);
  await eventually(
    async () => page.isOpen,
    (isOpen) => !isOpen,
  );
  await expect(text(page.response)).rejects.toThrow();
  await lapse.stop();
});

test('a principal has ten streams at most, downloads included; others of its tenant and its namesakes have their own', async () => {
  await fillLedger();
  const { lapse } = world;
  const [ada, bob] = [await lapse.createKey('viewer', 'acme'), await lapse.createKey('viewer', 'acme')];
  const streams = [await Stream.open(LEDGER, ada)];
  for (let at = 0; at < 9; at += 1) {
    streams.push(await Stream.open(EVENTS, ada));
  }
  expect(streams.map(({ status }) => status)).toEqual(Array(10).fill(200));

  for (const path of [EVENTS, LEDGER]) {
    const { status, body, headers } = await lapse.send('GET', path, ada, undefined, { accept: 'text/csv, */*;q=0.5' });
    expect([status, body.code, headers.get('retry-after')]).toEqual([429, 'too_many_streams', '5']);
  }
  expect((await lapse.get(LEDGER, ada)).status).toBe(200);
  expect((await Stream.open(EVENTS, bob)).status).toBe(200);

  streams[3]?.close();
  await eventually(
    async () => (await Stream.open(EVENTS, ada)).status,
    (status) => status === 200,
  );
  expect((await Stream.open(EVENTS, ada)).status).toBe(429);

  for (let at = 0; at < 10; at += 1) {
    expect((await Stream.open(EVENTS, await issuer.token({ tenant_id: 'acme', role: 'viewer' }))).status).toBe(200);
  }
  const namesake = await issuer.token({ tenant_id: 'globex', role: 'viewer' });
  expect((await Stream.open(LEDGER, namesake)).status).toBe(200);
});
