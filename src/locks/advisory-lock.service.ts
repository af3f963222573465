import { setTimeout as delay } from 'node:timers/promises';
import {
  type BeforeApplicationShutdown,
  Injectable,
  Logger,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import type { HeldLock } from './held-lock.js';
import { LocalQueue } from './local-queue.js';
import { LockConnections } from './lock-connections.js';
import { LockCounters, type LockCounts } from './lock-counters.js';
import { LockHolders } from './lock-holders.service.js';
import { LockBusy, type LockLimits, type LockOptions, limitsOf } from './lock-options.js';
import { proveLocks } from './lock-proof.js';
import { LockSettings } from './lock-settings.js';
import { withLockSignal } from './lock-signal.js';
import { LockLostError, ShuttingDownError } from './locks.errors.js';

/** Between two tries of one that waits: three small statements each, so fewer than five a second. */
const SHORTEST_PAUSE_MS = 700;
const JITTER_MS = 300;
const DRAIN_WITHIN_MS = 3_000;

/** Runs work under PostgreSQL advisory locks, each on a connection of its own, outside the application's pool. */
@Injectable()
export class AdvisoryLockService implements OnModuleInit, OnModuleDestroy, BeforeApplicationShutdown {
  private readonly logger = new Logger('Locks');
  private readonly queue = new LocalQueue();
  private readonly counters = new LockCounters();
  private readonly running = new Map<HeldLock, Promise<unknown>>();
  private readonly stopping = new AbortController();

  constructor(
    private readonly settings: LockSettings,
    private readonly connections: LockConnections,
    private readonly holders: LockHolders,
  ) {}

  /**
   * Runs `work` while holding the lock, and returns what it returned; LockBusy where somebody else holds it, this very
   * process and call included: a lock can't be taken twice.
   *
   * @throws LockUnavailableError where the database can't be asked, ShuttingDownError once shutdown has begun,
   *   LockOptionsInvalidError, and whatever `work` throws.
   */
  async withLock<T>(options: LockOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T | LockBusy> {
    const limits = limitsOf(options);
    const counts = this.counters.of(options.countAs ?? options.name);
    counts.attempts += 1;
    const deadline = performance.now() + limits.waitFor;
    const leave = await this.queue.enter(options.name, limits.waitFor);
    if (!leave) {
      return this.busy(options.name, counts);
    }
    try {
      const lock = await this.take(options.name, limits, deadline);
      return lock ? await this.runUnder(lock, limits, counts, work) : await this.busy(options.name, counts);
    } finally {
      leave();
    }
  }

  /** What happened to each lock in this process since it started, by its name or what it is counted as. */
  get counts(): ReadonlyMap<string, Readonly<LockCounts>> {
    return this.counters.all();
  }

  /** Nothing starts on locks that don't lock. */
  async onModuleInit(): Promise<void> {
    await proveLocks(this.settings.databaseUrl, this.connections);
  }

  /** The first word of shutdown: nothing new begins, and running work is told to stop. */
  onModuleDestroy(): void {
    const reason = new ShuttingDownError();
    this.stopping.abort(reason);
    for (const lock of this.running.keys()) {
      lock.stop(reason);
    }
  }

  /** Gives running work a moment, while the pools that it needs are open; what hasn't ended then loses its lock. */
  async beforeApplicationShutdown(): Promise<void> {
    const ended = Promise.allSettled(this.running.values());
    await Promise.race([ended, delay(DRAIN_WITHIN_MS, undefined, { ref: false })]);
    for (const lock of this.running.keys()) {
      lock.lose(`its work went on for ${DRAIN_WITHIN_MS} ms after it was told to stop`);
    }
  }

  private async take(name: string, limits: LockLimits, deadline: number): Promise<HeldLock | undefined> {
    for (;;) {
      this.stopping.signal.throwIfAborted();
      const lock = await this.connections.tryToTake(name, limits.atMost);
      const left = deadline - performance.now();
      if (lock || left <= 0) {
        return lock;
      }
      // Asked again and again rather than waited for inside a query, which would hold back vacuum meanwhile.
      await pause(Math.min(SHORTEST_PAUSE_MS + Math.random() * JITTER_MS, left), this.stopping.signal);
    }
  }

  private async runUnder<T>(
    lock: HeldLock,
    limits: LockLimits,
    counts: LockCounts,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const since = performance.now();
    counts.acquired += 1;
    lock.signal.addEventListener('abort', () => this.reportIfLost(lock.signal.reason, counts));
    const run = this.begin(lock, work)
      .finally(() => pause(limits.atLeast - (performance.now() - since), lock.signal))
      .finally(() => lock.release());
    this.running.set(lock, run);
    try {
      return await run;
    } finally {
      this.running.delete(lock);
      counts.heldSeconds += (performance.now() - since) / 1000;
    }
  }

  /** Shutdown may have begun while the database was being asked. */
  private async begin<T>(lock: HeldLock, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.stopping.signal.aborted) {
      lock.stop(this.stopping.signal.reason);
      throw this.stopping.signal.reason;
    }
    return withLockSignal(lock.signal, () => work(lock.signal));
  }

  private reportIfLost(reason: unknown, counts: LockCounts): void {
    if (reason instanceof LockLostError) {
      counts.lost += 1;
      this.logger.warn(`${reason.message}; its work is told to stop`);
    }
  }

  /** That it is busy is known; by whom is a courtesy. */
  private async busy(name: string, counts: LockCounts): Promise<LockBusy> {
    counts.skipped += 1;
    return new LockBusy(name, await this.holders.of(name).catch(() => undefined));
  }
}

/** Ends early, and not with an error, when the signal aborts. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) {
    await delay(ms, undefined, { signal }).catch(() => undefined);
  }
}
