import { expect, test } from '@jest/globals';
import { ADMIN_KEY, Lapse } from './support/lapse.js';
import { useWorld } from './support/world.js';

const world = useWorld({ LAPSE_SWEEP_BATCH_SIZE: '20' });

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

test('a stream that is open ends when the service stops', async () => {
  await world.host.pool.query(
    `INSERT INTO lapse.sweeps (id, trigger, dry_run, timeout_seconds, requested_by, lock_name)
     VALUES ('01890000-0000-7000-8000-00000000000a', 'api', false, 1800, 'somebody', 'nobody holds it')`,
  );
  const lapse = await Lapse.start(world.databaseUrl);
  const response = await fetch(`${lapse.url}/v1/sweeps/01890000-0000-7000-8000-00000000000a/events`, {
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  const reader = response.body?.getReader();
  await reader?.read();

  const began = performance.now();
  await lapse.stop();

  expect(performance.now() - began).toBeLessThan(5_000);
  expect(await reader?.read()).toEqual({ done: true, value: undefined });
});

test("another tenant's sweep can not be watched", async () => {
  const { id } = (await world.lapse.post('/v1/sweeps', { tenantId: 'acme' })).body;
  const foreign = await world.lapse.get(`/v1/sweeps/${id}/events`, await world.lapse.createKey('viewer', 'globex'));
  expect([foreign.status, foreign.body.code]).toEqual([404, 'sweep_not_found']);
  expect(await watch(world.lapse, id, await world.lapse.createKey('viewer', 'acme'))).toHaveLength(1);
});
