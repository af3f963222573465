import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, StreamableFile } from '@nestjs/common';
import type { TenantScope } from '../access/tenant-scope.js';
import { OverdueExecutionsRepository } from './overdue-executions.repository.js';
import type { SweepDto } from './sweep-answer.js';
import { SweepsService } from './sweeps.service.js';

const ASKED_EVERY_MS = 1_000;

/** A count is a courtesy: where it takes longer than this, one does without. */
const COUNT_LIMITS = { statementTimeout: 10_000, lockTimeout: 1_000, capacity: 'watched-reads' } as const;

/** Proxies give up a connection on which nothing comes for a minute, some for half of one. */
const SILENT_FOR_AT_MOST_MS = 15_000;

/** Follows sweeps in the database, so that it doesn't matter which replica runs them. */
@Injectable()
export class SweepProgress {
  constructor(
    private readonly sweeps: SweepsService,
    private readonly executions: OverdueExecutionsRepository,
  ) {}

  /**
   * Server-sent events: the sweep as it is now, and whenever it has changed, to its end.
   *
   * @throws SweepNotFoundError before the stream begins.
   */
  async watch(scope: TenantScope, sweepId: string): Promise<StreamableFile> {
    const now = await this.sweeps.get(scope, sweepId);
    const events = Readable.from(this.follow(scope, now), { objectMode: false });
    const stream = new StreamableFile(events, { type: 'text/event-stream; charset=utf-8' });
    return stream.setErrorHandler((_error, response) => response.destroy?.());
  }

  /** How many executions a running sweep or undo still has before it. Reads all that is overdue, so ask it once a sweep. */
  async countLeft(scope: TenantScope, sweep: SweepDto): Promise<number> {
    const { timeoutSeconds, cutoff, counts } = sweep;
    if (sweep.undoes !== null) {
      const undone = await this.sweeps.get(scope, sweep.undoes);
      return Math.max(undone.counts.timedOut - counts.total, 0);
    }
    const { projectId, agentId } = sweep.scope;
    const limit = sweep.limit === null ? null : Math.max(sweep.limit - counts.total, 0);
    return this.executions.count(scope, { projectId, agentId, timeoutSeconds, cutoff }, limit, COUNT_LIMITS);
  }

  private async *follow(scope: TenantScope, first: SweepDto): AsyncIterable<string> {
    let told = '';
    let saidAt = performance.now();
    for (let sweep = first; ; sweep = await this.sweeps.get(scope, first.id)) {
      const data = JSON.stringify(sweep);
      if (data !== told) {
        yield `event: sweep\ndata: ${data}\n\n`;
        [told, saidAt] = [data, performance.now()];
      } else if (performance.now() - saidAt >= SILENT_FOR_AT_MOST_MS) {
        yield ': nothing new\n\n';
        saidAt = performance.now();
      }
      if (sweep.status !== 'running') {
        return;
      }
      await delay(ASKED_EVERY_MS);
    }
  }
}
