import { Injectable } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import type { TenantScope } from '../access/tenant-scope.js';
import type { Page } from '../http/page.dto.js';
import { Pages } from '../http/pages.service.js';
import { kindOf } from '../sweeps/sweep.entity.js';
import { SweepsService } from '../sweeps/sweeps.service.js';
import { type ListTimeoutsQuery, TimeoutDto } from './timeouts.dto.js';
import { type TimeoutFilter, type TimeoutRow, TimeoutsRepository } from './timeouts.repository.js';

/** Rows that are read at a time for a list without pages. */
const CHUNK = 1_000;

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

  /**
   * The whole list, however long, without holding more than some rows of it.
   *
   * @throws SweepNotFoundError as `list` does, before the first row.
   */
  async all(caller: Caller, query: ListTimeoutsQuery, sweepId?: string): Promise<AsyncIterable<TimeoutDto[]>> {
    return this.inChunks(caller.scope, await this.filterOf(caller, query, sweepId));
  }

  private async *inChunks(scope: TenantScope, filter: TimeoutFilter): AsyncIterable<TimeoutDto[]> {
    let after: readonly string[] | undefined;
    do {
      const { rows, goesOnAfter } = await this.timeouts.list(scope, filter, CHUNK, after);
      yield rows.map(TimeoutDto.from);
      after = rows.length === CHUNK ? (rows.at(-1) as TimeoutRow).position : goesOnAfter;
    } while (after);
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
