import { Injectable } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import type { Page } from '../http/page.dto.js';
import { Pages } from '../http/pages.service.js';
import { kindOf } from '../sweeps/sweep.entity.js';
import { SweepsService } from '../sweeps/sweeps.service.js';
import { type ListTimeoutsQuery, TimeoutDto } from './timeouts.dto.js';
import { type TimeoutFilter, TimeoutsRepository } from './timeouts.repository.js';

@Injectable()
export class TimeoutsService {
  constructor(
    private readonly timeouts: TimeoutsRepository,
    private readonly sweeps: SweepsService,
    private readonly pages: Pages,
  ) {}

  /** @throws SweepNotFoundError where `sweepId` is given and there is no such sweep in the caller's scope. */
  async list(caller: Caller, query: ListTimeoutsQuery, sweepId?: string): Promise<Page<TimeoutDto>> {
    const filter = await this.filterOf(caller, query, sweepId);
    return this.pages.page(caller, query, {
      name: `timeouts of ${sweepId ?? 'all'}`,
      rows: (limit, after) => this.timeouts.list(caller.scope, filter, limit, after),
      positionOf: ({ position }) => position,
      toItem: TimeoutDto.from,
    });
  }

  /** The timeouts of an undo are those that it dealt with. */
  private async filterOf(
    { scope }: Caller,
    query: ListTimeoutsQuery,
    sweepId: string | undefined,
  ): Promise<TimeoutFilter> {
    const { projectId, agentId, toolName, executionId, resurrected, from, to } = query;
    const sweep = sweepId === undefined ? undefined : await this.sweeps.find(scope, sweepId);
    const isUndo = sweep !== undefined && kindOf(sweep) === 'undo';
    const of = isUndo ? { sweepId: undefined, undoId: sweepId } : { sweepId, undoId: undefined };
    const isShare = sweep !== undefined && !isUndo && sweep.shareOf !== null;
    const within = isShare ? { from: sweep.startedAt, to: sweep.finishedAt } : undefined;
    return { ...of, within, projectId, agentId, toolName, executionId, resurrected, from, to };
  }
}
