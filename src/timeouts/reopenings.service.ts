import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { Caller } from '../access/principal.js';
import { TenantScope } from '../access/tenant-scope.js';
import { AuditLogService } from '../audit/audit-log.service.js';
import { Configuration } from '../config/configuration.js';
import { inShortTransaction } from '../database/short-transaction.js';
import { isServerTrouble, sqlStateOf } from '../database/sql-state.js';
import type { LockBusy } from '../locks/lock-options.js';
import { failureOf } from '../sweeps/batch-partition.js';
import { asUnavailable } from '../sweeps/begun-sweep.js';
import { kindOf, type SweepEntity, type Trigger } from '../sweeps/sweep.entity.js';
import type { SweepDto } from '../sweeps/sweep-answer.js';
import { UpdateSuppressedError } from '../sweeps/sweeps.errors.js';
import { SweepsService } from '../sweeps/sweeps.service.js';
import { ReopeningsRepository, type ReopenOutcome } from './reopenings.repository.js';
import { ReopenRefusedError, SweepNotUndoableError, TimeoutNotFoundError } from './timeouts.errors.js';
import type { UndoBody } from './undo.dto.js';
import { type UndoPlan, UndoRunner } from './undo-runner.service.js';
import { undoLockName } from './undo-selection.js';
import { UndoSelectionRepository } from './undo-selection.repository.js';

const LIMITS = { statementTimeout: 2_000, lockTimeout: 1_000 };

/** Takes timeouts back: of one execution, of a sweep, or of a period. */
@Injectable()
export class ReopeningsService {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly configuration: Configuration,
    private readonly reopenings: ReopeningsRepository,
    private readonly selections: UndoSelectionRepository,
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
   * Reopens what was timed out, as `reopen` does one by one; waits for the end up to `waitSeconds`, and continues in
   * the background after that. The same request again changes nothing, or continues an undo that ended early.
   *
   * @returns the record of the undo: a sweep of kind `undo`.
   * @throws SweepNotFoundError, SweepNotUndoableError, SweepBusyError if it is being undone, SweepsUnavailableError
   */
  async requestUndo(caller: Caller, request: UndoBody, waitSeconds: number): Promise<SweepDto> {
    const plan = await this.plan('api', caller, request);
    const run = (onStarted: (id: string) => void) => this.undos.run(plan, onStarted);
    return this.sweeps.beginAndWait(caller, plan.lockName, run, waitSeconds);
  }

  /**
   * The same, to its end. LockBusy if it is being undone.
   *
   * @throws SweepNotFoundError, SweepNotUndoableError, SweepsUnavailableError
   */
  async undo(
    trigger: Trigger,
    caller: Caller,
    request: UndoBody,
    onStarted?: (undoId: string) => void,
  ): Promise<SweepEntity | LockBusy> {
    const plan = await this.plan(trigger, caller, request);
    return this.undos.run(plan, onStarted).catch(asUnavailable);
  }

  private async plan(trigger: Trigger, requestedBy: Caller, request: UndoBody): Promise<UndoPlan> {
    const { sweepId, from = null, to = null, projectId, agentId, dryRun = false, reason = null } = request;
    const sweep = sweepId === undefined ? null : await this.sweeps.find(requestedBy.scope, sweepId);
    const refusal = sweep && whyNotUndoable(sweep);
    if (refusal) {
      throw new SweepNotUndoableError(refusal);
    }
    const scope = sweep && requestedBy.scope.tenantId === null ? TenantScope.of(sweep.tenantId) : requestedBy.scope;
    const selection = {
      ...{ sweep, from, to, cutoff: null },
      projectId: projectId ?? sweep?.projectId ?? null,
      agentId: agentId ?? sweep?.agentId ?? null,
    };
    const { expected, longestTimeoutSeconds } = await this.selections.summarize(scope, selection);
    const timeoutSeconds = sweep?.timeoutSeconds ?? longestTimeoutSeconds ?? this.configuration.approvalTimeout / 1000;
    const range = {
      from: from ?? (sweep as SweepEntity).startedAt.toISOString(),
      to: to ?? ((sweep as SweepEntity).finishedAt ?? new Date()).toISOString(),
    };
    const lockName = undoLockName(scope, selection, dryRun);
    return { trigger, scope, selection, range, expected, timeoutSeconds, dryRun, reason, requestedBy, lockName };
  }
}

function whyNotUndoable(sweep: SweepEntity): string | undefined {
  if (sweep.status === 'running') {
    return 'it is still running: cancel it, or wait for its end';
  }
  if (sweep.dryRun) {
    return 'it was a dry run and changed nothing';
  }
  return kindOf(sweep) === 'timeout'
    ? undefined
    : 'it is an undo itself: what it reopened times out again at its new deadline';
}

/** What the watched table itself says to the update: a trigger, a check, a lock that somebody else holds for long. */
function isOfTheRow(error: unknown): boolean {
  const state = sqlStateOf(error);
  return error instanceof UpdateSuppressedError || (state !== undefined && !isServerTrouble(state));
}
