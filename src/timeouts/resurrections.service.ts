import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { inShortTransaction } from '../database/short-transaction.js';
import { Housekeeping } from '../sweeps/housekeeping.service.js';
import { type Resurrection, ResurrectionsRepository } from './resurrections.repository.js';

/** Timeouts that one statement examines, and statements of one look; the next look continues there. */
const BATCH_SIZE = 1_000;
const MAX_BATCHES = 100;

/** After each statement it pauses for this many times as long, so that it uses a tenth of one connection at most. */
const PAUSE_FACTOR = 9;

/** How many executions the warning of one look names. */
const MAX_EXAMPLES = 10;

/** A schedule that ticks every minute looks after each tick; a faster one doesn't look more often. */
const MIN_INTERVAL_MS = 50_000;

const LIMITS = { statementTimeout: 10_000, lockTimeout: 1_000, capacity: 'housekeeping' } as const;

/** Watches what becomes of timed-out executions for seven days. */
@Injectable()
export class ResurrectionsService implements OnModuleInit {
  private readonly logger = new Logger('Timeouts');
  private lastLookAt = 0;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly resurrections: ResurrectionsRepository,
    private readonly housekeeping: Housekeeping,
  ) {}

  onModuleInit(): void {
    this.housekeeping.add({ name: 'finding late approvals', run: (signal) => this.detectNowAndThen(signal) });
  }

  /**
   * Examines timed-out executions, records those that have come back without being reopened, and logs one warning about
   * them. If there are more than one look may examine, the next look continues behind them, and after the youngest from
   * the oldest again.
   *
   * @returns how many have come back.
   */
  async detect(signal?: AbortSignal): Promise<number> {
    let count = 0;
    const examples: Resurrection[] = [];
    try {
      for (let batch = 0; batch < MAX_BATCHES && !signal?.aborted; batch += 1) {
        const startedAt = performance.now();
        const batchOf = { limit: BATCH_SIZE, examples: MAX_EXAMPLES - examples.length };
        const found = await inShortTransaction(this.dataSource, LIMITS, (transaction) =>
          this.resurrections.recordNextAcrossTenants(batchOf, transaction),
        );
        count += found.found;
        examples.push(...found.examples);
        if (found.looked < BATCH_SIZE) {
          break;
        }
        // Nobody waits for this, while the host and a sweep may be using the same rows.
        await delay(PAUSE_FACTOR * (performance.now() - startedAt), undefined, signal ? { signal } : {}).catch(() => undefined);
      }
    } finally {
      // Each batch is recorded for good, so it is reported even if a later one fails.
      this.warn(count, examples);
    }
    return count;
  }

  private async detectNowAndThen(signal: AbortSignal): Promise<void> {
    if (Date.now() - this.lastLookAt >= MIN_INTERVAL_MS) {
      this.lastLookAt = Date.now();
      await this.detect(signal);
    }
  }

  private warn(count: number, examples: readonly Resurrection[]): void {
    if (count === 0) {
      return;
    }
    const such = count > examples.length ? ', such as' : ':';
    this.logger.warn(
      `Timed-out executions that came back without being reopened: ${count}${such} ` +
        `${examples.map(describe).join('; ')}. GET /v1/timeouts?resurrected=true lists them; ` +
        `"lapse guard install" prevents late approvals`,
    );
  }
}

function describe({ tenantId, projectId, executionId, status, timeoutId }: Resurrection): string {
  const state = status === 'failed' ? 'has failed again' : `was seen ${status}`;
  return `execution ${executionId} of tenant ${tenantId}, project ${projectId} (timeout ${timeoutId}, ${state})`;
}
