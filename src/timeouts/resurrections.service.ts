import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { inShortTransaction } from '../database/short-transaction.js';
import { Housekeeping } from '../sweeps/housekeeping.service.js';
import { type Resurrection, ResurrectionsRepository } from './resurrections.repository.js';

/** Timeouts that one statement looks at, and one look altogether: what goes beyond is the next one's. */
const BATCH = 5_000;
const MOST_BATCHES = 20;

/** However often the schedule ticks; where it ticks every minute, it is after each tick. */
const LOOKS_EVERY_MS = 50_000;

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
   * Looks at timed-out executions, records those that have come back without being reopened, and warns of each. Where
   * there are more than one look may cost, the next one goes on behind it, and from the beginning after the youngest.
   *
   * @returns how many have come back.
   */
  async detect(signal?: AbortSignal): Promise<number> {
    let count = 0;
    for (let batch = 0; batch < MOST_BATCHES && !signal?.aborted; batch += 1) {
      const { found, looked } = await inShortTransaction(this.dataSource, LIMITS, (transaction) =>
        this.resurrections.recordNextAcrossTenants(BATCH, transaction),
      );
      for (const resurrection of found) {
        this.warnOf(resurrection);
      }
      count += found.length;
      if (looked < BATCH) {
        break;
      }
    }
    return count;
  }

  private async detectNowAndThen(signal: AbortSignal): Promise<void> {
    if (Date.now() - this.lastLookAt >= LOOKS_EVERY_MS) {
      this.lastLookAt = Date.now();
      await this.detect(signal);
    }
  }

  private warnOf({ tenantId, projectId, executionId, status, timeoutId }: Resurrection): void {
    this.logger.warn(
      `Execution ${executionId} of tenant ${tenantId}, project ${projectId} is ${status} although it was timed out ` +
        `(timeout ${timeoutId}) and nobody reopened it; "lapse guard install" keeps late approvals from doing that`,
    );
  }
}
