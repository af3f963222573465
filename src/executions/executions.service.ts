import { Injectable } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import type { TenantScope } from '../access/tenant-scope.js';
import { Configuration } from '../config/configuration.js';
import type { Page } from '../http/page.dto.js';
import { Pages } from '../http/pages.service.js';
import { InvalidInputError } from '../http/problem.error.js';
import { ExecutionDto, type ExecutionParams, type ListExecutionsQuery } from './executions.dto.js';
import { ExecutionNotFoundError } from './executions.errors.js';
import { ExecutionsRepository } from './executions.repository.js';

@Injectable()
export class ExecutionsService {
  constructor(
    private readonly configuration: Configuration,
    private readonly executions: ExecutionsRepository,
    private readonly pages: Pages,
  ) {}

  list(caller: Caller, query: ListExecutionsQuery): Promise<Page<ExecutionDto>> {
    const { projectId, agentId, conversationId, status, overdue } = query;
    if (overdue !== undefined && status !== 'suspended') {
      throw new InvalidInputError([{ path: 'query.overdue', message: 'only suspended executions can be overdue' }]);
    }
    const filter = { projectId, agentId, conversationId, status, overdue, timeoutSeconds: this.timeoutSeconds };
    return this.pages.page(caller, query, {
      name: 'executions',
      rows: (limit, after) => this.executions.list(caller.scope, filter, limit, after),
      positionOf: ({ position }) => position,
      toItem: ExecutionDto.from,
    });
  }

  /** @throws ExecutionNotFoundError */
  async get(scope: TenantScope, execution: ExecutionParams): Promise<ExecutionDto> {
    const found = await this.executions.find(scope, execution, this.timeoutSeconds);
    if (!found) {
      throw new ExecutionNotFoundError();
    }
    return ExecutionDto.from(found);
  }

  private get timeoutSeconds(): number {
    return this.configuration.approvalTimeout / 1000;
  }
}
