import { beforeAll, expect, test } from '@jest/globals';
import { CountingProxy } from '../bench/support/counting-proxy.js';
import { DatabaseProxy } from './support/database-proxy.js';
import { eventually } from './support/eventually.js';
import { holdLock } from './support/held-lock.js';
import { ADMIN_KEY, Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld({ LAPSE_SWEEP_BATCH_SIZE: '20' });

beforeAll(() => holdLock(world.lapse, 'a running sweep'));

interface SweepEvent {
  type: string;
  status: string;
  timedOut: number;
}

/** Reads the stream to its end. */
async function watch(lapse: Lapse, id: string, key = ADMIN_KEY): Promise<SweepEvent[]> {
  const response = await fetch(`${lapse.url}/v1/sweeps/${id}/events`, { headers: { authorization: `Bearer ${key}` } });
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
  return eventsIn(await response.text());
}

function eventsIn(text: string): SweepEvent[] {
  return text
    .split('\n\n')
    .filter((event) => event.includes('data:'))
    .map((event) => {
      const data = JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? '{}');
      return { type: /^event: (.*)$/m.exec(event)?.[1] ?? '', status: data.status, timedOut: data.counts?.timedOut };
    });
}

test('a sweep that has ended is told once', async () => {
  const { id } = (await world.lapse.post('/v1/sweeps', {})).body;
  expect(await watch(world.lapse, id)).toEqual([{ type: 'sweep', status: 'succeeded', timedOut: 0 }]);
});

test('a sweep is followed to its end by a replica that does not run it', async () => {
  await world.host.suspendMany(400, 31);
  await world.host.slowDown(0.01);
  const other = await Lapse.start(world.databaseUrl);
  const { id } = (await world.lapse.post('/v1/sweeps?wait=0', {})).body;

  const events = await watch(other, id);
  await world.host.speedUp();

  expect(events.at(-1)).toEqual({ type: 'sweep', status: 'succeeded', timedOut: 400 });
  const counts = events.map(({ timedOut }) => timedOut);
  expect(counts).toEqual([...new Set(counts)].sort((a, b) => a - b));
  expect(counts.length).toBeGreaterThan(2);
});

const RUNNING = '01890000-0000-7000-8000-00000000000a';

/** A sweep of acme on record as running, which no replica runs: it changes when a test says so. */
const recordRunningSweep = () =>
  world.host.pool.query(
    `INSERT INTO lapse.sweeps (id, trigger, tenant_id, dry_run, timeout_seconds, requested_by, lock_name)
     VALUES ('${RUNNING}', 'api', 'acme', false, 1800, 'somebody', 'a running sweep')`,
  );

const change = (assignments: string) =>
  world.host.pool.query(`UPDATE lapse.sweeps SET ${assignments} WHERE id = '${RUNNING}'`);

/** An event stream of the running sweep, with what has come of it so far. */
class Watcher {
  events: SweepEvent[] = [];
  end: 'clean' | 'cut' | undefined;
  private readonly leaving = new AbortController();

  static async of(lapse: Lapse, key: string): Promise<Watcher> {
    const watcher = new Watcher();
    const response = await fetch(`${lapse.url}/v1/sweeps/${RUNNING}/events`, {
      headers: { authorization: `Bearer ${key}` },
      signal: watcher.leaving.signal,
    });
    expect(response.status).toBe(200);
    void watcher.read(response);
    await watcher.sees(({ events }) => events.length > 0);
    return watcher;
  }

  sees(what: (watcher: Watcher) => boolean): Promise<unknown> {
    return eventually(
      async () => ({ watcher: this, events: this.events.length }),
      ({ watcher }) => what(watcher),
    );
  }

  leave(): void {
    this.leaving.abort();
  }

  private async read(response: Response): Promise<void> {
    let received = '';
    try {
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        received += chunk;
        this.events = eventsIn(received);
      }
      this.end = 'clean';
    } catch {
      this.end = 'cut';
    }
  }
}

/** How often Lapse waited for the database while each of three changes reached every watcher. */
async function turnsOfThreeChanges(proxy: CountingProxy, watchers: Watcher[], from: number): Promise<number> {
  proxy.reset();
  for (let timedOut = from; timedOut < from + 3; timedOut += 1) {
    await change(`timed_out = ${timedOut}`);
    await Promise.all(watchers.map((watcher) => watcher.sees(({ events }) => events.at(-1)?.timedOut === timedOut)));
  }
  return proxy.turns;
}

test('fifty streams of a sweep cost about as many transactions as one, and none when the last one has left', async () => {
  await recordRunningSweep();
  const proxy = await CountingProxy.start(world.databaseUrl);
  const lapse = await Lapse.start(proxy.url);
  const keys = await Promise.all(Array.from({ length: 5 }, () => world.lapse.createKey('viewer', 'acme')));
  const watchers = [await Watcher.of(lapse, keys[0] as string)];
  const ofOne = await turnsOfThreeChanges(proxy, watchers, 1);

  for (let at = 1; at < 50; at += 1) {
    watchers.push(await Watcher.of(lapse, keys[at % 5] as string));
  }
  const ofFifty = await turnsOfThreeChanges(proxy, watchers, 11);

  expect(ofFifty).toBeLessThan(ofOne + 40);
  for (const watcher of watchers) {
    watcher.leave();
  }
  let seen = { turns: -1, at: 0 };
  await eventually(
    async () => {
      seen = proxy.turns === seen.turns ? seen : { turns: proxy.turns, at: performance.now() };
      return performance.now() - seen.at;
    },
    (quietMs) => quietMs > 1_500,
  );
  await lapse.stop();
  await proxy.stop();
}, 60_000);

test('watchers that come and go see every change in order, and the end', async () => {
  await recordRunningSweep();
  const key = await world.lapse.createKey('viewer', 'acme');
  const first = await Watcher.of(world.lapse, key);
  first.leave();
  const second = await Watcher.of(world.lapse, key);
  await change('timed_out = 1');
  await second.sees(({ events }) => events.length === 2);
  const third = await Watcher.of(world.lapse, ADMIN_KEY);
  await change(`timed_out = 2, status = 'succeeded', finished_at = now()`);
  await Promise.all([second, third].map((watcher) => watcher.sees(({ end }) => end === 'clean')));

  const counts = ({ events }: Watcher) => events.map(({ timedOut, status }) => `${timedOut} ${status}`);
  expect(counts(second)).toEqual(['0 running', '1 running', '2 succeeded']);
  expect(counts(third)).toEqual(['1 running', '2 succeeded']);
});

test('another tenant can not join the watchers of a sweep, whatever it tries', async () => {
  await recordRunningSweep();
  const watcher = await Watcher.of(world.lapse, await world.lapse.createKey('viewer', 'acme'));
  const foreigner = await world.lapse.createKey('admin', 'globex');
  for (const [headers, code] of [
    [{}, 'sweep_not_found'],
    [{ 'x-tenant-id': 'globex' }, 'sweep_not_found'],
    [{ 'x-tenant-id': 'acme' }, 'tenant_not_found'],
  ] as const) {
    const answer = await world.lapse.send('GET', `/v1/sweeps/${RUNNING}/events`, foreigner, undefined, headers);
    expect([answer.status, answer.body.code]).toEqual([404, code]);
  }
  const narrowed = await world.lapse.send('GET', `/v1/sweeps/${RUNNING}/events`, ADMIN_KEY, undefined, {
    'x-tenant-id': 'globex',
  });
  expect(narrowed.status).toBe(404);
  watcher.leave();
});

test('streams are cut when the database goes away, and can be opened again when it is back', async () => {
  await recordRunningSweep();
  const proxy = await DatabaseProxy.to(world.databaseUrl);
  const lapse = await Lapse.start(proxy.url);
  const watchers = [await Watcher.of(lapse, ADMIN_KEY), await Watcher.of(lapse, ADMIN_KEY)];

  proxy.cut();
  await Promise.all(watchers.map((watcher) => watcher.sees(({ end }) => end === 'cut')));
  proxy.mend();
  const again = await Watcher.of(lapse, ADMIN_KEY);
  await change('timed_out = 7');
  await again.sees(({ events }) => events.at(-1)?.timedOut === 7);

  await lapse.stop();
  await proxy.stop();
}, 60_000);

test('a stream that is open ends when the service stops', async () => {
  await recordRunningSweep();
  const lapse = await Lapse.start(world.databaseUrl);
  const watcher = await Watcher.of(lapse, ADMIN_KEY);

  const began = performance.now();
  await lapse.stop();

  expect(performance.now() - began).toBeLessThan(5_000);
  await watcher.sees(({ end }) => end === 'clean');
});

test("another tenant's sweep can not be watched", async () => {
  const { id } = (await world.lapse.post('/v1/sweeps', { tenantId: 'acme' })).body;
  const foreign = await world.lapse.get(`/v1/sweeps/${id}/events`, await world.lapse.createKey('viewer', 'globex'));
  expect([foreign.status, foreign.body.code]).toEqual([404, 'sweep_not_found']);
  expect(await watch(world.lapse, id, await world.lapse.createKey('viewer', 'acme'))).toHaveLength(1);
});
