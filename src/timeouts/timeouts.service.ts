import { Injectable } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import type { Page } from '../http/page.dto.js';
import { Pages } from '../http/pages.service.js';
import { SweepsService } from '../sweeps/sweeps.service.js';
import { type ListTimeoutsQuery, TimeoutDto } from './timeouts.dto.js';
import { type TimeoutRow, TimeoutsRepository } from './timeouts.repository.js';

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
    await this.assertSweep(caller, sweepId);
    return this.pages.page(caller, query, {
      name: `timeouts of ${sweepId ?? 'all'}`,
      rows: (limit, after) => this.timeouts.list(caller.scope, filterOf(query, sweepId), limit, after),
      positionOf: ({ position }) => position,
      toItem: TimeoutDto.from,
    });
  }

  /**
   * The whole list, however long, without holding more than some rows of it.
   *
   * @throws SweepNotFoundError as `list` does, before the first row.
   */
  async all(caller: Caller, query: ListTimeoutsQuery, sweepId?: string): Promise<AsyncIterable<TimeoutDto>> {
    await this.assertSweep(caller, sweepId);
    return this.inChunks(caller, query, sweepId);
  }

  private async *inChunks(caller: Caller, query: ListTimeoutsQuery, sweepId?: string): AsyncIterable<TimeoutDto> {
    let after: readonly string[] | undefined;
    do {
      const { rows, goesOnAfter } = await this.timeouts.list(caller.scope, filterOf(query, sweepId), CHUNK, after);
      yield* rows.map(TimeoutDto.from);
      after = rows.length === CHUNK ? (rows.at(-1) as TimeoutRow).position : goesOnAfter;
    } while (after);
  }

  private async assertSweep({ scope }: Caller, sweepId: string | undefined): Promise<void> {
    if (sweepId !== undefined) {
      await this.sweeps.get(scope, sweepId);
    }
  }
}

function filterOf({ projectId, agentId, toolName, from, to }: ListTimeoutsQuery, sweepId: string | undefined) {
  return { sweepId, projectId, agentId, toolName, from, to };
}
