import { Injectable } from '@nestjs/common';
import type { TenantScope } from '../access/tenant-scope.js';
import { rfc3339 } from '../database/moments.js';
import { FailuresRepository } from './failures.repository.js';
import type { SweepDto } from './sweep-answer.js';

/** What a sweep could not time out waits for another attempt: its answer says how much, and until when. */
@Injectable()
export class SweepPauses {
  constructor(private readonly failures: FailuresRepository) {}

  /** Executions of other tenants than the scope's are not counted. */
  async addTo(scope: TenantScope, sweeps: readonly SweepDto[]): Promise<SweepDto[]> {
    const failed = sweeps.filter(({ kind, counts }) => kind === 'timeout' && counts.failed > 0).map(({ id }) => id);
    const rows = failed.length === 0 ? [] : await this.failures.findPaused(scope, failed);
    const paused = new Map(
      rows.map(({ sweepId, executions, nextTryAt, until }) => [
        sweepId,
        { executions, nextTryAt: rfc3339(nextTryAt), until: rfc3339(until) },
      ]),
    );
    return sweeps.map((sweep) => ({ ...sweep, paused: paused.get(sweep.id) ?? null }));
  }
}
