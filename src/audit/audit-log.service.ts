import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { addressBlock } from '../access/client-address.js';
import { type Caller, principalKey } from '../access/principal.js';
import { TenantScope } from '../access/tenant-scope.js';
import type { Page } from '../http/page.dto.js';
import { Pages } from '../http/pages.service.js';
import { AuditRecordDto, type ListAuditLogQuery } from './audit-log.dto.js';
import { AuditLogRepository } from './audit-log.repository.js';
import { RefusalWindow } from './refusal-window.js';

/** What was refused, or failed, and who asked for it, as far as that was found out. */
export interface Refusal extends Omit<Caller, 'principal' | 'scope' | 'action'> {
  action: string;
  principal: Caller['principal'] | undefined;
  scope: TenantScope | undefined;
  target: string | null;
  status: number;
  code: string;
}

@Injectable()
export class AuditLogService {
  readonly refusals = new RefusalWindow();

  constructor(
    private readonly records: AuditLogRepository,
    private readonly pages: Pages,
  ) {}

  /**
   * Records what a caller does, in the transaction that does it.
   *
   * @param details what was asked for, without anything secret.
   */
  async recordDone(
    caller: Caller,
    deed: { target: string; details: Record<string, unknown> },
    transaction: EntityManager,
  ): Promise<void> {
    const { principal, address, requestId, action } = caller;
    if (action === undefined) {
      throw new TypeError('A route that changes something must be declared with @Audited');
    }
    const who = { principalKind: principal.kind, principalId: principal.id, address, requestId };
    await this.records.insert(caller.scope, { ...who, ...deed, action, outcome: 'done', code: null }, transaction);
  }

  /**
   * Records the first refusal or failure of its kind within a minute, so that a flood doesn't fill the log. Of its kind are
   * those of the same principal (of the same address if nobody is authenticated) with the same action, code and target.
   * Nothing was done, so there is no transaction to share.
   */
  async recordRefused({ principal, scope, status, ...refusal }: Refusal): Promise<void> {
    const { address, action, code, target } = refusal;
    const kind = [principal ? principalKey(principal) : addressBlock(address), action, code];
    if (!this.refusals.admits(kind, target)) {
      return;
    }
    const record = {
      ...refusal,
      principalKind: principal?.kind ?? 'nobody',
      principalId: principal?.id ?? null,
      outcome: status >= 500 ? ('failed' as const) : ('refused' as const),
      details: {},
    };
    await this.records.insert(scope ?? TenantScope.platform(), record).catch((error: unknown) => {
      this.refusals.forget(kind, target);
      throw error;
    });
  }

  list(caller: Caller, query: ListAuditLogQuery): Promise<Page<AuditRecordDto>> {
    const { limit: _limit, cursor: _cursor, tenantId: _tenantId, ...filter } = query;
    return this.pages.page(caller, query, {
      name: 'audit-log',
      rows: (limit, after) => this.records.list(caller.scope, filter, limit, after),
      positionOf: ({ position }) => position,
      toItem: AuditRecordDto.from,
    });
  }
}
