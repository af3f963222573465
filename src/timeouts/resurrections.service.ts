import { Injectable, Logger } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { inShortTransaction } from '../database/short-transaction.js';
import type { LockBusy } from '../locks/lock-options.js';
import { lockSignal } from '../locks/lock-signal.js';
import { WithAdvisoryLock } from '../locks/with-advisory-lock.decorator.js';
import { type Resurrection, ResurrectionsRepository } from './resurrections.repository.js';

/** Timeouts that one statement looks at, and one look altogether: what goes beyond is the next one's. */
const BATCH = 5_000;
const MOST_LOOKED_AT = 100_000;

const LIMITS = { statementTimeout: 10_000, lockTimeout: 1_000 };

/** Watches what becomes of timed-out executions for seven days. */
@Injectable()
export class ResurrectionsService {
  private readonly logger = new Logger('Timeouts');

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly resurrections: ResurrectionsRepository,
  ) {}

  /**
   * Looks at timed-out executions, records those that have come back without being reopened, and warns of each. Where
   * there are more than one look may cost, the next one goes on behind it, and from the beginning after the youngest.
   *
   * @returns how many have come back; LockBusy where another replica looks.
   */
  @WithAdvisoryLock({ name: 'watch timeouts', onBusy: 'skip' })
  async detect(): Promise<number | LockBusy> {
    const signal = lockSignal();
    let found = 0;
    for (let looked = 0; looked < MOST_LOOKED_AT && !signal.aborted; ) {
      const batch = await this.lookOnce();
      found += batch.found.length;
      looked += batch.looked;
      for (const resurrection of batch.found) {
        this.warnOf(resurrection);
      }
      if (batch.atEnd) {
        break;
      }
    }
    return found;
  }

  /** The position moves in the transaction of the look, so that no replica passes over what another didn't finish. */
  private lookOnce(): Promise<{ found: Resurrection[]; looked: number; atEnd: boolean }> {
    return inShortTransaction(this.dataSource, LIMITS, async (transaction) => {
      const from = await this.resurrections.positionAcrossTenants(transaction);
      const { found, looked, last } = await this.resurrections.recordNextAcrossTenants(from, BATCH, transaction);
      const atEnd = looked < BATCH;
      const to = atEnd ? null : last;
      if (to !== from) {
        await this.resurrections.movePositionAcrossTenants(to, transaction);
      }
      return { found, looked, atEnd };
    });
  }

  private warnOf({ tenantId, projectId, executionId, status, timeoutId }: Resurrection): void {
    this.logger.warn(
      `Execution ${executionId} of tenant ${tenantId}, project ${projectId} is ${status} although it was timed out ` +
        `(timeout ${timeoutId}) and nobody reopened it; "lapse guard install" keeps late approvals from doing that`,
    );
  }
}
