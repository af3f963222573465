import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { Caller } from '../access/principal.js';
import type { TenantScope } from '../access/tenant-scope.js';
import { AuditLogService } from '../audit/audit-log.service.js';
import { messageOf } from '../database/database.errors.js';
import { inShortTransaction, RECORD_LIMITS } from '../database/short-transaction.js';
import type { RunEnd } from './run-state.js';
import { kindOf, type SweepEntity } from './sweep.entity.js';
import { type NewSweep, SweepsRepository } from './sweeps.repository.js';

/** What PostgreSQL says can be of any length: a trigger may have written it. */
const MAX_ERROR_CHARACTERS = 1_000;
const MAX_FINISH_ATTEMPTS = 3;
const FINISH_BACKOFF_MS = 300;

/** Keeps the record of each sweep from its beginning to its end, whatever the sweep does in between. */
@Injectable()
export class SweepRecords {
  private readonly logger = new Logger('Sweeps');

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly sweeps: SweepsRepository,
    private readonly auditLog: AuditLogService,
  ) {}

  /**
   * Whoever requested it is on the audit log in the same moment.
   *
   * @param requestedBy undefined for the schedule.
   */
  async begin(
    scope: TenantScope,
    sweep: NewSweep,
    requestedBy: Caller | undefined,
  ): Promise<{ id: string; cutoff: string }> {
    if (!requestedBy) {
      return this.sweeps.start(scope, sweep);
    }
    return inShortTransaction(this.dataSource, RECORD_LIMITS, async (transaction) => {
      const started = await this.sweeps.start(scope, sweep, transaction);
      const { projectId, agentId, timeoutSeconds, limit, dryRun, reason, undoes, undo } = sweep;
      const details = undo
        ? { undoes, from: undo.from, to: undo.to, projectId, agentId, dryRun, reason }
        : { projectId, agentId, timeoutSeconds, limit, dryRun, reason };
      await this.auditLog.recordDone(requestedBy, { target: started.id, details }, transaction.manager);
      return started;
    });
  }

  /**
   * Runs what the sweep does, and puts on record how it ended; an error is an end like others.
   *
   * @param signal why it was told to stop, where it was.
   */
  async end(scope: TenantScope, id: string, signal: AbortSignal, work: () => Promise<RunEnd>): Promise<SweepEntity> {
    const { status, error } = await work().then(
      (end) => outcomeOf(end, signal),
      (error: unknown) => ({ status: 'failed' as const, error: messageOf(error).slice(0, MAX_ERROR_CHARACTERS) }),
    );
    const sweep = await this.finish(scope, id, status, error);
    this.report(sweep);
    return sweep;
  }

  /** Doing it twice changes nothing, so it is tried again: else the sweep would stay on record as running. */
  private async finish(
    scope: TenantScope,
    id: string,
    status: SweepEntity['status'],
    error: string | null,
  ): Promise<SweepEntity> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return (await this.sweeps.finish(scope, id, status, error)) as SweepEntity;
      } catch (cause) {
        if (attempt === MAX_FINISH_ATTEMPTS) {
          throw cause;
        }
        await delay(FINISH_BACKOFF_MS * attempt);
      }
    }
  }

  /** One readable line for a sweep that did something, or tried to. */
  private report(sweep: SweepEntity): void {
    const { timedOut, skipped, failed, status, error } = sweep;
    const { reopened, changedSince, gone, alreadyReopened } = sweep;
    const isUndo = kindOf(sweep) === 'undo';
    const counts = [
      isUndo ? `reopened ${reopened}` : `timed out ${timedOut}`,
      skipped > 0 && `skipped ${skipped}`,
      changedSince > 0 && `changed since ${changedSince}`,
      gone > 0 && `gone ${gone}`,
      alreadyReopened > 0 && `reopened before ${alreadyReopened}`,
      failed > 0 && `failed ${failed}`,
    ].filter(Boolean);
    // ScheduleWatch logs a schedule that fails: at each tick the same line would say nothing new.
    const saysNothing = status === 'succeeded' || (status === 'failed' && sweep.trigger === 'schedule');
    if (!isUndo && saysNothing && timedOut + skipped + failed === 0) {
      return;
    }
    const took = (sweep.finishedAt?.getTime() ?? Date.now()) - sweep.startedAt.getTime();
    const whose = sweep.tenantId ? `tenant ${sweep.tenantId}` : 'platform';
    const line = `${titleOf(sweep)} ${sweep.id} (${sweep.trigger}, ${whose}) ${status} in ${took} ms: ${counts.join(', ')}`;
    this.logger[status === 'succeeded' || status === 'cancelled' ? 'log' : 'warn'](error ? `${line} (${error})` : line);
  }
}

function titleOf(sweep: SweepEntity): string {
  const { dryRun, undoes, undoFrom, undoTo } = sweep;
  if (kindOf(sweep) === 'timeout') {
    return dryRun ? 'Dry run' : 'Sweep';
  }
  const of = undoes === null ? `${undoFrom?.toISOString()} to ${undoTo?.toISOString()}` : `sweep ${undoes}`;
  return `${dryRun ? 'Dry run of an undo' : 'Undo'} of ${of}:`;
}

function outcomeOf(end: RunEnd, signal: AbortSignal): { status: SweepEntity['status']; error: string | null } {
  switch (end) {
    case 'done':
      return { status: 'succeeded', error: null };
    case 'cancelled':
      return { status: 'cancelled', error: null };
    case 'stopped':
      return { status: 'interrupted', error: messageOf(signal.reason) };
  }
}
