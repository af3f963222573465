import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { Caller } from '../access/principal.js';
import { AuditLogService } from '../audit/audit-log.service.js';
import { inShortTransaction } from '../database/short-transaction.js';
import { isServerTrouble, sqlStateOf } from '../database/sql-state.js';
import type { LockBusy } from '../locks/lock-options.js';
import { failureOf } from '../sweeps/batch-partition.js';
import { asUnavailable } from '../sweeps/begun-sweep.js';
import type { SweepEntity, Trigger } from '../sweeps/sweep.entity.js';
import type { SweepDto } from '../sweeps/sweep-answer.js';
import { UpdateSuppressedError } from '../sweeps/sweeps.errors.js';
import { SweepsService } from '../sweeps/sweeps.service.js';
import { ReopeningsRepository, type ReopenOutcome } from './reopenings.repository.js';
import { ReopenRefusedError, SweepNotUndoableError, TimeoutNotFoundError } from './timeouts.errors.js';
import { type UndoPlan, UndoRunner, undoLockName } from './undo-runner.service.js';

const LIMITS = { statementTimeout: 2_000, lockTimeout: 1_000 };

/** Takes timeouts back: of one execution, or all of a sweep. */
@Injectable()
export class ReopeningsService {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly reopenings: ReopeningsRepository,
    private readonly sweeps: SweepsService,
    private readonly undos: UndoRunner,
    private readonly auditLog: AuditLogService,
  ) {}

  /**
   * Suspends an execution again, from now on, where it is still as its timeout left it. Reopening it again changes
   * nothing.
   *
   * @throws TimeoutNotFoundError, ReopenRefusedError
   */
  async reopen(caller: Caller, timeoutId: string, reason: string): Promise<ReopenOutcome> {
    const { scope, principal } = caller;
    return inShortTransaction(this.dataSource, LIMITS, async (transaction) => {
      const reopening = { by: principal.id, reason, undo: null };
      const { outcome, suppressed } = await this.reopenings.reopen(scope, [timeoutId], reopening, transaction);
      if (!outcome) {
        throw new TimeoutNotFoundError();
      }
      if (suppressed > 0) {
        throw new UpdateSuppressedError(suppressed);
      }
      const details = { reason, outcome };
      await this.auditLog.recordDone(caller, { target: timeoutId, details }, transaction.manager);
      return outcome;
    }).catch((error: unknown) => {
      throw isOfTheRow(error) ? new ReopenRefusedError(failureOf(error).reason, error) : error;
    });
  }

  /**
   * Reopens whatever a sweep has timed out, as `reopen` does one by one; waits for the end up to `waitSeconds`, and goes
   * on in the background after that. Undoing the same sweep again goes on where an undo broke off.
   *
   * @returns the record of the undo: a sweep of kind `undo`.
   * @throws SweepNotFoundError, SweepNotUndoableError, SweepBusyError where it is being undone, SweepsUnavailableError
   */
  async requestUndo(caller: Caller, sweepId: string, reason: string, waitSeconds: number): Promise<SweepDto> {
    const plan = await this.plan('api', caller, sweepId, reason);
    const run = (onStarted: (id: string) => void) => this.undos.run(plan, onStarted);
    return this.sweeps.beginAndWait(caller, undoLockName(plan.undone), run, waitSeconds);
  }

  /**
   * The same, to its end. LockBusy where the sweep is being undone.
   *
   * @throws SweepNotFoundError, SweepNotUndoableError, SweepsUnavailableError
   */
  async undo(
    trigger: Trigger,
    caller: Caller,
    sweepId: string,
    reason: string,
    onStarted?: (undoId: string) => void,
  ): Promise<SweepEntity | LockBusy> {
    const plan = await this.plan(trigger, caller, sweepId, reason);
    return this.undos.run(plan, onStarted).catch(asUnavailable);
  }

  private async plan(trigger: Trigger, requestedBy: Caller, sweepId: string, reason: string): Promise<UndoPlan> {
    const undone = await this.sweeps.find(requestedBy.scope, sweepId);
    const refusal = whyNotUndoable(undone);
    if (refusal) {
      throw new SweepNotUndoableError(refusal);
    }
    return { trigger, undone, reason, requestedBy };
  }
}

function whyNotUndoable({ status, dryRun, undoes }: SweepEntity): string | undefined {
  if (status === 'running') {
    return 'it is still running: cancel it, or wait for its end';
  }
  if (dryRun) {
    return 'it was a dry run and changed nothing';
  }
  return undoes === null ? undefined : 'it is an undo itself: what it reopened times out again at its new deadline';
}

/** What the watched table itself says to the update: a trigger, a check, a lock that somebody else holds for long. */
function isOfTheRow(error: unknown): boolean {
  const state = sqlStateOf(error);
  return error instanceof UpdateSuppressedError || (state !== undefined && !isServerTrouble(state));
}
