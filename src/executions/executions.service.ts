import { Injectable } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import type { TenantScope } from '../access/tenant-scope.js';
import { Configuration } from '../config/configuration.js';
import { milliseconds } from '../config/duration.js';
import type { Page } from '../http/page.dto.js';
import { Pages } from '../http/pages.service.js';
import { InvalidInputError } from '../http/problem.error.js';
import type { ExecutionFilter } from './execution-filter.sql.js';
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

  /** @throws ConversationsUnreadableError if `userId` is given and the host's conversations can't be read. */
  list(caller: Caller, query: ListExecutionsQuery): Promise<Page<ExecutionDto>> {
    const filter = { ...filterIn(query), timeoutSeconds: this.timeoutSeconds };
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

const ONLY_SUSPENDED = 'applies to only suspended executions; leave it out, or ask for the status suspended';

/** @throws InvalidInputError */
function filterIn(query: ListExecutionsQuery): Omit<ExecutionFilter, 'timeoutSeconds'> {
  const { id, projectId, agentId, conversationId, userId, toolName, overdue, waitingLongerThan } = query;
  const faults = [
    ...(overdue === undefined ? [] : [{ path: 'query.overdue', message: ONLY_SUSPENDED }]),
    ...(waitingLongerThan === undefined ? [] : [{ path: 'query.waitingLongerThan', message: ONLY_SUSPENDED }]),
  ];
  const status = query.status ?? (id === undefined || faults.length > 0 ? 'suspended' : undefined);
  if (status !== 'suspended' && faults.length > 0) {
    throw new InvalidInputError(faults);
  }
  const waitingSeconds = waitingLongerThan === undefined ? undefined : milliseconds(waitingLongerThan) / 1000;
  return { id, projectId, agentId, conversationId, userId, toolName, status, overdue, waitingSeconds };
}
