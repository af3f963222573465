import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import type { Response } from 'express';
import { rfc3339, rfc3339OrNull } from '../database/moments.js';
import { IsWholeNumberInQuery, MayBeLeftOut } from '../http/input.validators.js';
import { RETRY_AFTER } from '../http/problem.dto.js';
import {
  SWEEP_KINDS,
  SWEEP_STATUSES,
  type SweepEntity,
  type SweepKind,
  type SweepStatus,
  TRIGGERS,
  type Trigger,
} from './sweep.entity.js';

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
  @ApiProperty({ type: 'integer', description: 'Somebody else was quicker', example: 0 }) skipped!: number;
  @ApiProperty({ type: 'integer', description: 'Could not be timed out; GET /v1/failures has the reasons', example: 0 })
  failed!: number;
  @ApiProperty({ type: 'integer', example: 12 }) total!: number;
}

@ApiSchema({ name: 'UndoCounts', description: 'What became of the timeouts of the sweep that was undone' })
export class UndoCountsDto {
  @ApiProperty({ type: 'integer', description: 'Suspended again, from now on' }) reopened!: number;
  @ApiProperty({ type: 'integer', description: 'Left alone: somebody has changed it since it was timed out' })
  changedSince!: number;
  @ApiProperty({ type: 'integer', description: 'The execution is not there any more' }) gone!: number;
  @ApiProperty({ type: 'integer', description: 'Somebody had reopened it before' }) alreadyReopened!: number;
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
  @ApiProperty({ enum: SWEEP_KINDS, description: '`undo`: takes the timeouts of another sweep back' })
  kind!: SweepKind;
  @ApiProperty({ type: String, format: 'uuid', nullable: true, description: 'The sweep that an undo takes back' })
  undoes!: string | null;
  @ApiProperty({ enum: TRIGGERS }) trigger!: Trigger;
  @ApiProperty({ type: SweepScopeDto }) scope!: SweepScopeDto;
  @ApiProperty({ enum: SWEEP_STATUSES, description: '`partial`: some executions failed' }) status!: SweepStatus;
  @ApiProperty() dryRun!: boolean;
  @ApiProperty({ type: 'integer', example: 1800 }) timeoutSeconds!: number;
  @ApiProperty({ type: 'integer', nullable: true }) limit!: number | null;
  @ApiProperty({ type: String, nullable: true }) reason!: string | null;
  @ApiProperty({ description: 'The principal; `schedule` for the in-process schedule', example: 'admin-key' })
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

  static from(sweep: SweepEntity): SweepDto {
    const { tenantId, projectId, agentId, timedOut, skipped, failed, startedAt, finishedAt } = sweep;
    const { undoes, reopened, changedSince, gone, alreadyReopened } = sweep;
    const total = timedOut + skipped + failed + reopened + changedSince + gone + alreadyReopened;
    return {
      id: sweep.id,
      kind: undoes === null ? 'timeout' : 'undo',
      undoes,
      trigger: sweep.trigger,
      scope: { tenantId, projectId, agentId },
      status: sweep.status,
      dryRun: sweep.dryRun,
      timeoutSeconds: sweep.timeoutSeconds,
      limit: sweep.limit,
      reason: sweep.reason,
      requestedBy: sweep.requestedBy,
      counts: { timedOut, skipped, failed, total },
      undone: undoes === null ? null : { reopened, changedSince, gone, alreadyReopened },
      paused: null,
      cutoff: rfc3339(sweep.cutoff),
      startedAt: rfc3339(startedAt),
      finishedAt: rfc3339OrNull(finishedAt),
      durationMs: finishedAt ? Number(finishedAt) - Number(startedAt) : null,
      error: sweep.error,
    };
  }
}

/** How the document tells of a sweep that goes on. */
export const ACCEPTED_SWEEP = {
  type: SweepDto,
  description: 'It goes on; ask for it at `Location`',
  headers: { Location: { description: 'Where to ask for it', schema: { type: 'string' } }, ...RETRY_AFTER },
} as const;

/** 200 with a sweep that has ended, 202 with one that goes on. */
export function answerSweep(sweep: SweepDto, response: Response): SweepDto {
  response.location(`/v1/sweeps/${sweep.id}`);
  if (sweep.status === 'running') {
    response.status(202).set('Retry-After', '1');
  }
  return sweep;
}
