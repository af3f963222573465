import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import type { Duration } from '../../src/config/duration.js';
import { DatabaseProxy } from '../support/database-proxy.js';
import { eventually } from '../support/eventually.js';
import { LockProcess } from './lock-process.js';

/** What a lock is asked for, and what its answers look like, whoever implements it. */
export interface LocksUnderTest {
  /** @returns what `work` returned; `busy` where somebody else holds the lock. */
  withLock<T>(
    options: { name: string; onBusy: 'skip' | 'wait'; waitFor?: Duration; atLeast?: Duration; atMost?: Duration },
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | 'busy'>;
  /** Tells running work to stop, waits for it a few seconds, and gives every lock back. */
  close(): Promise<void>;
}

/** How to get at an implementation: here, and in another process by the name of its module. */
export interface LockImplementation {
  /** A module beside this one that exports `openLocks`. */
  module: string;
  openLocks(databaseUrl: string): Promise<LocksUnderTest>;
}

/** What stands for a way to the database: it is opened before the tests and stopped after them. */
export interface Route {
  url: string;
  stop(): Promise<void>;
}

/** Without the lock, half of them are lost. */
const INCREMENTS = 400;

/**
 * What every lock that replicas share must do, over one way to the database.
 *
 * @param processes replicas that all ways share, because starting them takes long.
 */
export function lockContract(
  title: string,
  { module, openLocks }: LockImplementation,
  openRoute: () => Promise<Route>,
  databaseUrl: () => string,
  processes: readonly LockProcess[],
): void {
  describe(title, () => {
    let route: Route;
    let host: pg.Pool;
    let first: LocksUnderTest;
    let second: LocksUnderTest;
    let toKill: LockProcess;
    let toTerminate: LockProcess;
    /** Begun before the other tests, because it takes most of the time that they take. */
    let silence: Promise<{ reason: unknown; ms: number }>;

    beforeAll(async () => {
      route = await openRoute();
      host = new pg.Pool({ connectionString: databaseUrl() });
      host.on('error', () => undefined);
      [toKill, toTerminate] = [LockProcess.start(module), LockProcess.start(module)];
      [first, second] = await Promise.all([openLocks(route.url), openLocks(route.url)]);
      silence = goSilent();
    });
    afterAll(async () => {
      await Promise.all([toKill?.end('SIGKILL'), toTerminate?.end('SIGKILL')]);
      await Promise.all([first?.close(), second?.close()]);
      await host?.end();
      await route?.stop();
    });

    /** Holds the lock until it is let go, or told to stop. */
    function hold(locks: LocksUnderTest, name: string, atMost?: Duration) {
      let letGo: () => void = () => undefined;
      const until = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      let done: Promise<unknown> = Promise.resolve();
      const held = new Promise<AbortSignal>((resolve) => {
        done = locks.withLock({ name, onBusy: 'skip', ...(atMost ? { atMost } : {}) }, async (signal) => {
          resolve(signal);
          signal.addEventListener('abort', letGo);
          await until;
        });
      });
      return { held, letGo: () => Promise.all([letGo(), done]) };
    }

    /** Takes the connection of a held lock away without a word, and waits until the holder notices. */
    async function goSilent(): Promise<{ reason: unknown; ms: number }> {
      const proxy = await DatabaseProxy.to(route.url);
      const locks = await openLocks(proxy.url);
      const { held, letGo } = hold(locks, 'silent');
      const signal = await held;
      proxy.silence();
      const since = performance.now();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      const ms = performance.now() - since;
      await proxy.stop();
      await letGo();
      await locks.close();
      return { reason: signal.reason, ms };
    }

    const runs = async () => 'ran';
    const takenWithin = (name: string, waitFor: Duration) =>
      second.withLock({ name, onBusy: 'wait', waitFor }, runs).then((outcome) => outcome === 'ran');

    test('while one replica holds a lock, another is told that it is busy; other names are free', async () => {
      const { held, letGo } = hold(first, 'busy');
      await held;

      expect(await second.withLock({ name: 'busy', onBusy: 'skip' }, runs)).toBe('busy');
      expect(await first.withLock({ name: 'busy', onBusy: 'skip' }, runs)).toBe('busy');
      expect(await second.withLock({ name: 'another', onBusy: 'skip' }, async () => undefined)).toBeUndefined();
      await letGo();
      expect(await second.withLock({ name: 'busy', onBusy: 'skip' }, runs)).toBe('ran');
    });

    test('one that waits has its turn when the holder is done, and gives up when its time is', async () => {
      const { held, letGo } = hold(first, 'wait');
      await held;

      expect(await takenWithin('wait', '300ms')).toBe(false);
      const patient = takenWithin('wait', '10s');
      await letGo();

      expect(await patient).toBe(true);
    });

    test("work that fails frees the lock, and its error is the caller's", async () => {
      const work = first.withLock({ name: 'fails', onBusy: 'skip' }, () => Promise.reject(new Error('it failed')));
      await expect(work).rejects.toThrow('it failed');
      expect(await second.withLock({ name: 'fails', onBusy: 'skip' }, runs)).toBe('ran');
    });

    test('with atLeast the lock outlives the work', async () => {
      let end: () => void = () => undefined;
      const ended = new Promise<void>((resolve) => {
        end = resolve;
      });
      const kept = first.withLock({ name: 'kept', onBusy: 'skip', atLeast: '1s' }, async () => end());
      await ended;
      expect(await second.withLock({ name: 'kept', onBusy: 'skip' }, runs)).toBe('busy');
      await kept;
      expect(await second.withLock({ name: 'kept', onBusy: 'skip' }, runs)).toBe('ran');
    });

    test('after atMost the work is told to stop, and the lock is free', async () => {
      const { held, letGo } = hold(first, 'limited', '300ms');
      const signal = await held;
      expect(await takenWithin('limited', '5s')).toBe(true);
      expect(signal.reason).toMatchObject({ name: 'LockLostError' });
      await letGo();
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
          (n % 2 ? first : second).withLock({ name: 'turns', onBusy: 'wait', waitFor: '20s' }, enter),
        ),
      );
      expect(outcomes.filter((outcome) => outcome === 'busy')).toEqual([]);
      expect(most).toBe(1);
    });

    test(`${processes.length} processes that race for ${INCREMENTS} increments of an unguarded counter lose none`, async () => {
      await host.query('CREATE TABLE IF NOT EXISTS counter (n int)');
      await host.query('TRUNCATE counter');
      await host.query('INSERT INTO counter VALUES (0)');
      await Promise.all(processes.map((process) => process.open(route.url)));

      await Promise.all(processes.map((process) => process.count(databaseUrl(), INCREMENTS / processes.length)));

      expect((await host.query('SELECT n FROM counter')).rows).toEqual([{ n: INCREMENTS }]);
    }, 90_000);

    test("when the holder's session is ended, its work is told and the next one is in, within 2 seconds", async () => {
      const { held, letGo } = hold(first, 'ended');
      const signal = await held;

      await host.query(
        `SELECT pg_terminate_backend(pid) FROM pg_locks
          WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      );

      expect(await takenWithin('ended', '2s')).toBe(true);
      await eventually(
        async () => signal.aborted,
        (aborted) => aborted,
        2_000,
      );
      expect(signal.reason).toMatchObject({ name: 'LockLostError' });
      await letGo();
    });

    test('when the holder is killed, the next one is in within 2 seconds', async () => {
      await toKill.open(route.url);
      await toKill.hold('killed');
      expect(await takenWithin('killed', '0ms')).toBe(false);

      await toKill.end('SIGKILL');

      expect(await takenWithin('killed', '2s')).toBe(true);
    });

    test('SIGTERM in a run tells the work, waits for it, and frees the lock', async () => {
      await toTerminate.open(route.url);
      await toTerminate.hold('terminated');

      const { code, messages } = await toTerminate.end('SIGTERM');

      expect(messages).toContain('stopped: ShuttingDownError');
      expect(code).toBe(0);
      expect(await takenWithin('terminated', '0ms')).toBe(true);
    });

    test('a connection that has gone silent is noticed within 15 seconds', async () => {
      const { reason, ms } = await silence;
      expect(reason).toMatchObject({ name: 'LockLostError' });
      expect(ms).toBeLessThan(15_000);
    });

    test('close tells the work, cuts atLeast short, waits, frees the lock, and lets nothing new begin', async () => {
      const locks = await openLocks(route.url);
      let told: unknown;
      let begun: () => void = () => undefined;
      const isHeld = new Promise<void>((resolve) => {
        begun = resolve;
      });
      const running = locks.withLock({ name: 'closing', onBusy: 'skip', atLeast: '1h' }, async (signal) => {
        begun();
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        told = signal.reason;
      });
      await isHeld;

      await locks.close();
      await running;

      expect(told).toMatchObject({ name: 'ShuttingDownError' });
      expect(await takenWithin('closing', '0ms')).toBe(true);
      await expect(locks.withLock({ name: 'closed', onBusy: 'skip' }, runs)).rejects.toMatchObject({
        name: 'ShuttingDownError',
      });
    });
  });
}
