import { Injectable } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import type { Page } from '../http/page.dto.js';
import { Pages } from '../http/pages.service.js';
import { FailureDto, type ListFailuresQuery } from './failures.dto.js';
import { FailuresRepository } from './failures.repository.js';

@Injectable()
export class FailuresService {
  constructor(
    private readonly failures: FailuresRepository,
    private readonly pages: Pages,
  ) {}

  list(caller: Caller, query: ListFailuresQuery): Promise<Page<FailureDto>> {
    const { sweepId, projectId } = query;
    return this.pages.page(caller, query, {
      name: 'failures',
      rows: (limit, after) => this.failures.list(caller.scope, { sweepId, projectId }, limit, after),
      positionOf: ({ position }) => position,
      toItem: FailureDto.from,
    });
  }
}
