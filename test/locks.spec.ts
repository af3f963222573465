import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Injectable, SetMetadata } from '@nestjs/common';
import { Cron } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import { Configuration, readConfiguration } from '../src/config/configuration.js';
import { AdvisoryLockService } from '../src/locks/advisory-lock.service.js';
import { LockBusy } from '../src/locks/lock-options.js';
import { lockSignal } from '../src/locks/lock-signal.js';
import { LockLostError, LockUnavailableError, ShuttingDownError } from '../src/locks/locks.errors.js';
import { WithAdvisoryLock } from '../src/locks/with-advisory-lock.decorator.js';
import { DatabaseProxy } from './support/database-proxy.js';
import { eventually } from './support/eventually.js';
import { useDatabase } from './support/world.js';

const world = useDatabase();
const services: AdvisoryLockService[] = [];
let first: AdvisoryLockService;
let second: AdvisoryLockService;

beforeEach(() => {
  [first, second] = [newService(world.databaseUrl), newService(world.databaseUrl)];
});
afterEach(async () => {
  for (const service of services.splice(0)) {
    await service.beforeApplicationShutdown();
    await service.onApplicationShutdown();
  }
});

/** Stands for a replica: it has connections and a queue of its own. */
function newService(url: string): AdvisoryLockService {
  const service = new AdvisoryLockService(readConfiguration({ DATABASE_URL: url }));
  services.push(service);
  return service;
}

/** Holds the lock until it is let go; `held` resolves once it is. */
function hold(service: AdvisoryLockService, name: string, atMost?: '300ms') {
  let letGo: () => void = () => undefined;
  const until = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let signal: AbortSignal | undefined;
  const held = new Promise<void>((resolve) => {
    void service.withLock({ name, onBusy: 'skip', ...(atMost ? { atMost } : {}) }, async (given) => {
      signal = given;
      resolve();
      await until;
    });
  });
  return { held, letGo, signal: () => signal as AbortSignal };
}

test('while one replica holds a lock, another skips and is told who holds it', async () => {
  const holding = hold(first, 'a');
  await holding.held;

  const outcome = await second.withLock({ name: 'a', onBusy: 'skip' }, async () => 'ran');

  expect(outcome).toBeInstanceOf(LockBusy);
  expect((outcome as LockBusy).holder).toEqual({
    applicationName: expect.stringMatching(new RegExp(`^lapse a .+/${process.pid}$`)),
    since: expect.any(Date),
  });
  expect(await second.withLock({ name: 'b', onBusy: 'skip' }, async () => undefined)).toBeUndefined();
  holding.letGo();
});

test('one that waits has its turn when the holder is done, and gives up when its time is', async () => {
  const holding = hold(first, 'a');
  await holding.held;

  const impatient = await second.withLock({ name: 'a', onBusy: 'wait', waitFor: '300ms' }, async () => 'ran');
  const patient = second.withLock({ name: 'a', onBusy: 'wait', waitFor: '10s' }, async () => 'ran');
  holding.letGo();

  expect(impatient).toBeInstanceOf(LockBusy);
  expect(await patient).toBe('ran');
});

test('a lock keeps its callers apart, in one process and between two', async () => {
  let inside = 0;
  let most = 0;
  const enter = async (): Promise<void> => {
    inside += 1;
    most = Math.max(most, inside);
    await new Promise(setImmediate);
    inside -= 1;
  };

  const outcomes = await Promise.all(
    Array.from({ length: 60 }, (_, n) =>
      (n % 2 ? first : second).withLock({ name: 'a', onBusy: 'wait', waitFor: '20s' }, enter),
    ),
  );

  expect(outcomes.filter((outcome) => outcome instanceof LockBusy)).toEqual([]);
  expect(most).toBe(1);
});

test("work that fails frees the lock, and its error is the caller's", async () => {
  const work = first.withLock({ name: 'a', onBusy: 'skip' }, () => Promise.reject(new Error('the work failed')));
  await expect(work).rejects.toThrow('the work failed');
  expect(await second.withLock({ name: 'a', onBusy: 'skip' }, async () => 'ran')).toBe('ran');
});

test('a held lock holds neither a snapshot nor a transaction id, so that vacuum goes on', async () => {
  const holding = hold(first, 'a');
  await holding.held;
  const { rows } = await world.host.pool.query(
    `SELECT state, backend_xmin, backend_xid FROM pg_stat_activity WHERE application_name LIKE 'lapse a %'`,
  );
  expect(rows).toEqual([{ state: 'idle in transaction', backend_xmin: null, backend_xid: null }]);
  holding.letGo();
});

test('when its connection is ended the work is told, and the next one gets the lock', async () => {
  const holding = hold(first, 'a');
  await holding.held;

  await world.host.pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'lapse a %'`,
  );

  await eventually(
    async () => holding.signal().aborted,
    (aborted) => aborted,
    2_000,
  );
  expect(holding.signal().reason).toBeInstanceOf(LockLostError);
  expect(await second.withLock({ name: 'a', onBusy: 'skip' }, async () => 'ran')).toBe('ran');
  holding.letGo();
});

test('after atMost the work is told to stop, and the lock is free', async () => {
  const holding = hold(first, 'a', '300ms');
  await holding.held;
  await eventually(
    async () => holding.signal().aborted,
    (aborted) => aborted,
    2_000,
  );
  expect(holding.signal().reason).toBeInstanceOf(LockLostError);
  expect(await second.withLock({ name: 'a', onBusy: 'wait' }, async () => 'ran')).toBe('ran');
  holding.letGo();
});

test('with atLeast the lock outlives the work', async () => {
  const running = first.withLock({ name: 'a', onBusy: 'skip', atLeast: '700ms' }, async () => 'ran');
  await eventually(
    () => second.holderOf('a'),
    (holder) => holder !== undefined,
    500,
  );

  expect(await second.withLock({ name: 'a', onBusy: 'skip' }, async () => 'ran')).toBeInstanceOf(LockBusy);
  expect(await running).toBe('ran');
  expect(await second.withLock({ name: 'a', onBusy: 'skip' }, async () => 'ran')).toBe('ran');
});

test('shutdown tells the work, cuts atLeast short, waits for the work, and lets nothing new begin', async () => {
  let told: unknown;
  const running = first.withLock({ name: 'a', onBusy: 'skip', atLeast: '1h' }, async (signal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    told = signal.reason;
  });
  await eventually(
    () => second.holderOf('a'),
    (holder) => holder !== undefined,
  );

  await first.beforeApplicationShutdown();
  await running;

  expect(told).toBeInstanceOf(ShuttingDownError);
  expect(await second.holderOf('a')).toBeUndefined();
  await expect(first.withLock({ name: 'b', onBusy: 'skip' }, async () => 'ran')).rejects.toThrow(ShuttingDownError);
});

test('where the database of the locks is away, that is an error and never "free"', async () => {
  const proxy = await DatabaseProxy.to(world.databaseUrl);
  const service = newService(proxy.url);
  await service.holderOf('a');
  proxy.cut();
  let ran = false;
  const attempt = service.withLock({ name: 'a', onBusy: 'wait' }, async () => {
    ran = true;
  });
  await expect(attempt).rejects.toThrow(LockUnavailableError);
  expect(ran).toBe(false);
  await proxy.stop();
});

@Injectable()
class Decorated {
  calls: unknown[] = [];

  @Cron('* * * * *', { name: 'above' })
  @WithAdvisoryLock({ name: 'above', onBusy: 'skip' })
  @SetMetadata('below', 'kept')
  async above(_first: string, _second: string): Promise<AbortSignal> {
    return lockSignal();
  }

  @WithAdvisoryLock<[string]>({ name: (tenant) => `of ${tenant}`, onBusy: 'skip' })
  @Cron('* * * * *', { name: 'below' })
  async below(tenant: string): Promise<string | undefined> {
    this.calls.push(tenant);
    return (await second.holderOf(`of ${tenant}`))?.applicationName;
  }
}

async function decorated(): Promise<Decorated> {
  const module = await Test.createTestingModule({
    providers: [Decorated, { provide: AdvisoryLockService, useValue: first }],
  }).compile();
  return module.get(Decorated);
}

test('a decorated method runs under its lock, named by its arguments, with itself as this', async () => {
  const instance = await decorated();
  expect(await instance.below('acme')).toMatch(/^lapse of acme /);
  expect(instance.calls).toEqual(['acme']);
  expect((await instance.above('a', 'b')).aborted).toBe(false);
});

test('the decorator keeps name, length and metadata, above and below others', () => {
  const { above, below } = Decorated.prototype;
  expect([above.name, above.length, below.name, below.length]).toEqual(['above', 2, 'below', 1]);
  expect(Reflect.getMetadata('below', above)).toBe('kept');
  expect(Reflect.getMetadata('SCHEDULE_CRON_OPTIONS', above)).toMatchObject({ name: 'above' });
  expect(Reflect.getMetadata('SCHEDULE_CRON_OPTIONS', below)).toMatchObject({ name: 'below' });
});

test('without the locks module the application does not start', async () => {
  const module = Test.createTestingModule({ providers: [Decorated, { provide: Configuration, useValue: {} }] });
  await expect(module.compile()).rejects.toThrow(/AdvisoryLockService/);
});
