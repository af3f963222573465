import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import type { Response } from 'express';
import { formatDuration } from '../config/duration.js';
import { rfc3339, rfc3339OrNull } from '../database/moments.js';
import { IsWholeNumberInQuery, MayBeLeftOut } from '../http/input.validators.js';
import { RETRY_AFTER } from '../http/problem.dto.js';
import {
  kindOf,
  SWEEP_KINDS,
  SWEEP_STATUSES,
  type SweepKind,
  type SweepStatus,
  TRIGGERS,
  type Trigger,
} from './sweep.entity.js';
import type { VisibleSweep } from './sweep-share.js';

export class WaitQuery {
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 0,
    maximum: 60,
    default: 10,
    description: 'Seconds to wait for the end of the sweep',
  })
  @MayBeLeftOut()
  @IsWholeNumberInQuery(0, 60)
  wait = 10;
}

@ApiSchema({ name: 'SweepScope' })
export class SweepScopeDto {
  @ApiProperty({ type: String, nullable: true, description: 'Null: the whole platform' }) tenantId!: string | null;
  @ApiProperty({ type: String, nullable: true }) projectId!: string | null;
  @ApiProperty({ type: String, nullable: true }) agentId!: string | null;
}

@ApiSchema({ name: 'SweepCounts' })
export class SweepCountsDto {
  @ApiProperty({ type: 'integer', description: 'Timed out; in a dry run, what would be', example: 12 })
  timedOut!: number;
  @ApiProperty({
    type: 'integer',
    description: 'Locked or changed by another transaction; 0 in a share, because it is not recorded by tenant',
    example: 0,
  })
  skipped!: number;
  @ApiProperty({ type: 'integer', description: 'Could not be timed out; GET /v1/failures has the reasons', example: 0 })
  failed!: number;
  @ApiProperty({ type: 'integer', example: 12 }) total!: number;
}

@ApiSchema({ name: 'UndoCounts', description: 'What became of the timeouts that the undo takes back' })
export class UndoCountsDto {
  @ApiProperty({ type: 'integer', description: 'Suspended again, from now on; in a dry run, what would be' })
  reopened!: number;
  @ApiProperty({ type: 'integer', description: 'Left alone: it has been changed since it was timed out' })
  changedSince!: number;
  @ApiProperty({ type: 'integer', description: 'The execution is not there any more' }) gone!: number;
  @ApiProperty({ type: 'integer', description: 'It had been reopened before' }) alreadyReopened!: number;
}

@ApiSchema({ name: 'UndoRange' })
export class UndoRangeDto {
  @ApiProperty({ format: 'date-time', description: 'Timed out at this time or later' }) from!: string;
  @ApiProperty({ format: 'date-time', description: 'Timed out before this time' }) to!: string;
}

@ApiSchema({ name: 'PausedExecutions' })
export class PausedDto {
  @ApiProperty({ type: 'integer', example: 3 }) executions!: number;
  @ApiProperty({ format: 'date-time', description: 'When the first of them is tried again' }) nextTryAt!: string;
  @ApiProperty({ format: 'date-time', description: 'From then on all of them may be tried again' }) until!: string;
}

@ApiSchema({ name: 'Sweep' })
export class SweepDto {
  @ApiProperty({ format: 'uuid' }) id!: string;
  @ApiProperty({ enum: SWEEP_KINDS, description: '`undo`: takes timeouts back' })
  kind!: SweepKind;
  @ApiProperty({
    type: String,
    format: 'uuid',
    nullable: true,
    description: 'The sweep that an undo takes back; null for a sweep, and for an undo of a period',
  })
  undoes!: string | null;
  @ApiProperty({
    type: UndoRangeDto,
    nullable: true,
    description: 'Of an undo: when the timeouts were that it takes back. Null for a sweep',
  })
  range!: UndoRangeDto | null;
  @ApiProperty({
    type: 'integer',
    nullable: true,
    description: 'Of an undo: how many timeouts there were when it began, which `counts.total` grows to. Else null',
  })
  expected!: number | null;
  @ApiProperty({ enum: TRIGGERS }) trigger!: Trigger;
  @ApiProperty({ type: SweepScopeDto }) scope!: SweepScopeDto;
  @ApiProperty({
    type: String,
    nullable: true,
    description:
      'The tenant whose share of a sweep of the platform this is: its own counts, without `reason`, `error`, `limit` and ' +
      'who requested it. Null for a whole sweep',
  })
  shareOf!: string | null;
  @ApiProperty({ enum: SWEEP_STATUSES, description: '`partial`: some executions failed' }) status!: SweepStatus;
  @ApiProperty() dryRun!: boolean;
  @ApiProperty({
    type: 'integer',
    description: 'Of an undo: the longest timeout of what it takes back',
    example: 1800,
  })
  timeoutSeconds!: number;
  @ApiProperty({ type: 'integer', nullable: true }) limit!: number | null;
  @ApiProperty({ type: String, nullable: true }) reason!: string | null;
  @ApiProperty({
    description: 'The principal; `schedule` for the in-process schedule; in a share, `platform` for anybody else',
    example: 'admin-key',
  })
  requestedBy!: string;
  @ApiProperty({ type: SweepCountsDto }) counts!: SweepCountsDto;
  @ApiProperty({ type: UndoCountsDto, nullable: true, description: 'Of an undo; null for a sweep that times out' })
  undone!: UndoCountsDto | null;
  @ApiProperty({
    type: PausedDto,
    nullable: true,
    description:
      'Executions that this sweep failed to time out and that wait for another attempt: until then no sweep touches them. ' +
      'Null if there are none, or once they were tried again',
  })
  paused!: PausedDto | null;
  @ApiProperty({ format: 'date-time', description: 'What was overdue at this moment of the database clock' })
  cutoff!: string;
  @ApiProperty({ format: 'date-time' }) startedAt!: string;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) finishedAt!: string | null;
  @ApiProperty({ type: 'integer', nullable: true }) durationMs!: number | null;
  @ApiProperty({ type: String, nullable: true }) error!: string | null;
  @ApiProperty({
    type: [String],
    description: 'Of an undo: why what it reopens would soon be overdue again, by the timeout that is configured now',
    example: [],
  })
  warnings!: string[];

  /** @param configuredTimeout LAPSE_APPROVAL_TIMEOUT in seconds. */
  static from(sweep: VisibleSweep, configuredTimeout: number): SweepDto {
    const { tenantId, projectId, agentId, timedOut, skipped, failed, startedAt, finishedAt } = sweep;
    const { undoes, undoFrom, undoTo, reopened, changedSince, gone, alreadyReopened } = sweep;
    const isUndo = kindOf(sweep) === 'undo';
    const total = timedOut + skipped + failed + reopened + changedSince + gone + alreadyReopened;
    return {
      id: sweep.id,
      kind: kindOf(sweep),
      undoes,
      range: undoFrom && undoTo && { from: rfc3339(undoFrom), to: rfc3339(undoTo) },
      expected: sweep.expected,
      trigger: sweep.trigger,
      scope: { tenantId, projectId, agentId },
      shareOf: sweep.shareOf,
      status: sweep.status,
      dryRun: sweep.dryRun,
      timeoutSeconds: sweep.timeoutSeconds,
      limit: sweep.limit,
      reason: sweep.reason,
      requestedBy: sweep.requestedBy,
      counts: { timedOut, skipped, failed, total },
      undone: isUndo ? { reopened, changedSince, gone, alreadyReopened } : null,
      paused: null,
      cutoff: rfc3339(sweep.cutoff),
      startedAt: rfc3339(startedAt),
      finishedAt: rfc3339OrNull(finishedAt),
      durationMs: finishedAt ? Number(finishedAt) - Number(startedAt) : null,
      error: sweep.error,
      warnings: warningsOf(sweep, configuredTimeout),
    };
  }
}

/** Documents the answer for a sweep that is still running. */
export const ACCEPTED_SWEEP = {
  type: SweepDto,
  description: 'It is still running; `Location` has its address',
  headers: { Location: { description: 'Where to ask for it', schema: { type: 'string' } }, ...RETRY_AFTER },
} as const;

/** 200 with a sweep that has ended, 202 with one that is still running. */
export function answerSweep(sweep: SweepDto, response: Response): SweepDto {
  response.location(`/v1/sweeps/${sweep.id}`);
  if (sweep.status === 'running') {
    response.status(202).set('Retry-After', '1');
  }
  return sweep;
}

/** An undo gives executions a fresh deadline; it is of little use if the timeout is still the one that was the mistake. */
function warningsOf(sweep: VisibleSweep, configuredTimeout: number): string[] {
  const { status, reopened, timeoutSeconds } = sweep;
  const reopensAnything = reopened > 0 || status === 'running';
  if (kindOf(sweep) === 'timeout' || !reopensAnything || configuredTimeout > timeoutSeconds) {
    return [];
  }
  const [configured, used] = [configuredTimeout, timeoutSeconds].map((seconds) => formatDuration(seconds * 1000));
  return [
    `The configured timeout (${configured}) is no longer than the one used then (${used}): executions that are reopened ` +
      `will be overdue again after ${configured}. Raise LAPSE_APPROVAL_TIMEOUT first`,
  ];
}
