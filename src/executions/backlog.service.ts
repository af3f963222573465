import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { TenantScope } from '../access/tenant-scope.js';
import { Configuration } from '../config/configuration.js';
import { type Duration, milliseconds } from '../config/duration.js';
import { rfc3339, rfc3339OrNull } from '../database/moments.js';
import type { BacklogDto } from './backlog.dto.js';
import { BacklogRepository, type BacklogRow } from './backlog.repository.js';

const AGES: readonly Duration[] = ['1m', '5m', '15m', '30m', '1h', '6h', '1d', '7d'];
const TENANTS = 50;

/** However many look, and however often, the table is asked once in this time for each scope. */
const REMEMBERED_MS = 5_000;
const REMEMBERED_SCOPES = 1_000;

@Injectable()
export class BacklogService {
  private readonly remembered: LRUCache<string, BacklogDto>;

  constructor(configuration: Configuration, backlog: BacklogRepository) {
    const question = {
      timeoutSeconds: configuration.approvalTimeout / 1000,
      ageLimits: AGES.map((age) => milliseconds(age) / 1000),
      tenants: TENANTS,
    };
    this.remembered = new LRUCache({
      max: REMEMBERED_SCOPES,
      ttl: REMEMBERED_MS,
      fetchMethod: async (key) => asDto(await backlog.count(TenantScope.of(JSON.parse(key)), question)),
    });
  }

  /** What waits, counted a few seconds ago at most. Those who ask at the same time wait for one answer. */
  async get(scope: TenantScope): Promise<BacklogDto> {
    return this.remembered.forceFetch(JSON.stringify(scope.tenantId));
  }
}

function asDto(row: BacklogRow): BacklogDto {
  const scaled = (count: number) => Math.round(count * row.scale);
  return {
    asOf: rfc3339(row.asOf),
    approximate: row.isSample,
    suspended: scaled(row.suspended),
    overdue: scaled(row.overdue),
    oldestSuspendedSince: rfc3339OrNull(row.oldestSuspendedSince),
    nextDeadline: rfc3339OrNull(row.nextDeadline),
    byTenant: row.byTenant.map(({ tenantId, suspended, overdue }) => ({
      tenantId,
      suspended: scaled(suspended),
      overdue: scaled(overdue),
    })),
    otherTenants: {
      tenants: row.otherTenants.tenants,
      suspended: scaled(row.otherTenants.suspended),
      overdue: scaled(row.otherTenants.overdue),
    },
    ages: row.ages.map((suspended, at) => ({ upTo: AGES[at] ?? null, suspended: scaled(suspended) })),
  };
}
