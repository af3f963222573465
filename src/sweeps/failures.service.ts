import { Injectable } from '@nestjs/common';
import type { TenantScope } from '../access/tenant-scope.js';
import { decodeCursor, pageOf } from '../http/cursor.js';
import type { Page } from '../http/page.dto.js';
import { FailureDto, type ListFailuresQuery } from './failures.dto.js';
import { type FailurePosition, FailuresRepository } from './failures.repository.js';

const MOMENT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/;
const FOREIGN_ID = /^[^\0]{1,256}$/s;

@Injectable()
export class FailuresService {
  constructor(private readonly failures: FailuresRepository) {}

  async list(scope: TenantScope, query: ListFailuresQuery): Promise<Page<FailureDto>> {
    const after =
      query.cursor === undefined
        ? undefined
        : (decodeCursor(query.cursor, [MOMENT, FOREIGN_ID, FOREIGN_ID, FOREIGN_ID]) as FailurePosition);
    const found = await this.failures.list(scope.narrowedTo(query.tenantId), query.limit + 1, after);
    return pageOf(found, query.limit, FailureDto.from, ({ position }) => position);
  }
}
