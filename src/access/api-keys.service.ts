import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { AuditLogService } from '../audit/audit-log.service.js';
import { rfc3339, rfc3339OrNull } from '../database/moments.js';
import { inShortTransaction, RECORD_LIMITS } from '../database/short-transaction.js';
import type { Page, PageQuery } from '../http/page.dto.js';
import { Pages } from '../http/pages.service.js';
import { InvalidInputError } from '../http/problem.error.js';
import { ApiKeyNotFoundError, RoleMissingError } from './access.errors.js';
import { generateApiKey, sha256 } from './api-key.js';
import { ApiKeyAuthenticator } from './api-key-authenticator.service.js';
import { ApiKeyDto, type CreateApiKeyBody, type CreatedApiKeyDto } from './api-keys.dto.js';
import { ApiKeysRepository } from './api-keys.repository.js';
import type { Caller } from './principal.js';
import { includesRole } from './role.js';

@Injectable()
export class ApiKeysService {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly keys: ApiKeysRepository,
    private readonly authenticator: ApiKeyAuthenticator,
    private readonly auditLog: AuditLogService,
    private readonly pages: Pages,
  ) {}

  /**
   * A key for the creator's own scope or a tenant within it, with a role that the creator itself has.
   *
   * @throws RoleMissingError, InvalidInputError
   */
  async create(creator: Caller, { name, role, expiresAt }: CreateApiKeyBody): Promise<CreatedApiKeyDto> {
    if (!includesRole(creator.principal.role, role)) {
      throw new RoleMissingError(role);
    }
    const key = generateApiKey();
    const kept = await inShortTransaction(this.dataSource, RECORD_LIMITS, async ({ manager: transaction }) => {
      const inserted = await this.keys.insert(
        creator.scope,
        {
          publicId: key.publicId,
          secretHash: sha256(key.secret),
          name,
          role,
          createdBy: creator.principal.id,
          expiresAt: expiresAt ? new Date(expiresAt) : null,
        },
        transaction,
      );
      const { expiresAt: expiry, createdAt } = inserted;
      // By the clock of the database, which decides later, too, when it has expired.
      if (expiry && expiry <= createdAt) {
        const message = `must be in the future, not ${rfc3339(expiry)}: it is ${rfc3339(createdAt)} now`;
        throw new InvalidInputError([{ path: 'body.expiresAt', message }]);
      }
      const details = { publicId: key.publicId, name, role, expiresAt: rfc3339OrNull(expiry) };
      await this.auditLog.recordDone(creator, { target: inserted.id, details }, transaction);
      return inserted;
    });
    return { ...ApiKeyDto.from(kept), key: key.text };
  }

  async list(caller: Caller, query: PageQuery): Promise<Page<ApiKeyDto>> {
    return this.pages.page(caller, query, {
      name: 'api-keys',
      rows: (limit, after) => this.keys.list(caller.scope, limit, after?.[0]),
      positionOf: ({ id }) => [id],
      toItem: ApiKeyDto.from,
    });
  }

  /** @throws ApiKeyNotFoundError where there is none of that id in the caller's scope. */
  async revoke(caller: Caller, id: string): Promise<void> {
    await inShortTransaction(this.dataSource, RECORD_LIMITS, async ({ manager: transaction }) => {
      if (!(await this.keys.revoke(caller.scope, id, transaction))) {
        throw new ApiKeyNotFoundError();
      }
      await this.auditLog.recordDone(caller, { target: id, details: {} }, transaction);
    });
    this.authenticator.forget();
  }
}
