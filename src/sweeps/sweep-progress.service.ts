import { Injectable, Logger, type OnModuleDestroy, StreamableFile } from '@nestjs/common';
import { TenantScope } from '../access/tenant-scope.js';
import { messageOf } from '../database/database.errors.js';
import { EventStream } from '../http/event-stream.js';
import { OverdueExecutionsRepository } from './overdue-executions.repository.js';
import type { SweepDto } from './sweep-answer.js';
import { SweepWatch } from './sweep-watch.js';
import { SweepsService } from './sweeps.service.js';

/** A count is a courtesy: where it takes longer than this, one does without. */
const COUNT_LIMITS = { statementTimeout: 10_000, lockTimeout: 1_000, capacity: 'watched-reads' } as const;

/** Watches sweeps in the database, so that it doesn't matter which replica runs them. */
@Injectable()
export class SweepProgress implements OnModuleDestroy {
  private readonly logger = new Logger('Sweeps');
  /** By the sweep, and by the tenant whose share of it is watched. */
  private readonly watches = new Map<string, SweepWatch>();
  private isStopping = false;

  constructor(
    private readonly sweeps: SweepsService,
    private readonly executions: OverdueExecutionsRepository,
  ) {}

  /**
   * Server-sent events: the sweep as it is now, and whenever it has changed, until it ends. The streams of one sweep share
   * one read a second; each is checked against its own scope before it joins.
   *
   * @throws SweepNotFoundError before the stream begins.
   */
  async watch(scope: TenantScope, sweepId: string): Promise<StreamableFile> {
    const sweep = await this.sweeps.get(scope, sweepId);
    const stream = new EventStream();
    stream.send('sweep', sweep);
    if (sweep.status === 'running' && !this.isStopping) {
      this.join(sweep, stream);
    } else {
      stream.finish();
    }
    const file = new StreamableFile(stream, { type: 'text/event-stream; charset=utf-8' });
    return file.setErrorHandler((_error, response) => response.destroy?.());
  }

  /** How many executions a running sweep or undo still has before it. Reads all that is overdue, so ask it once a sweep. */
  async countLeft(scope: TenantScope, sweep: SweepDto): Promise<number> {
    const { timeoutSeconds, cutoff, counts } = sweep;
    if (sweep.kind === 'undo') {
      return Math.max((sweep.expected ?? 0) - counts.total, 0);
    }
    const { projectId, agentId } = sweep.scope;
    const limit = sweep.limit === null ? null : Math.max(sweep.limit - counts.total, 0);
    return this.executions.count(scope, { projectId, agentId, timeoutSeconds, cutoff }, limit, COUNT_LIMITS);
  }

  onModuleDestroy(): void {
    this.isStopping = true;
    for (const watch of this.watches.values()) {
      watch.finish();
    }
  }

  private join(sweep: SweepDto, stream: EventStream): void {
    const key = JSON.stringify([sweep.id, sweep.shareOf]);
    const running = this.watches.get(key);
    if (running && !running.isOver) {
      running.add(stream);
      return;
    }
    const scope = TenantScope.of(sweep.shareOf ?? sweep.scope.tenantId);
    const watch = new SweepWatch(() => this.sweeps.get(scope, sweep.id));
    watch.add(stream);
    this.watches.set(key, watch);
    watch
      .run()
      .catch((error) => this.logger.warn(`The event streams of sweep ${sweep.id} broke off: ${messageOf(error)}`))
      .finally(() => this.watches.get(key) === watch && this.watches.delete(key));
  }
}
