import { Injectable } from '@nestjs/common';
import { decodeCursor, pageOf, UUID } from '../http/cursor.js';
import type { Page, PageQuery } from '../http/page.dto.js';
import { ApiKeyNotFoundError, RoleMissingError } from './access.errors.js';
import { generateApiKey, sha256 } from './api-key.js';
import { ApiKeyDto, type CreateApiKeyBody, type CreatedApiKeyDto } from './api-keys.dto.js';
import { ApiKeysRepository } from './api-keys.repository.js';
import type { Principal } from './principal.js';
import { includesRole } from './role.js';

@Injectable()
export class ApiKeysService {
  constructor(private readonly keys: ApiKeysRepository) {}

  /** A key for the creator's own scope or a tenant within it, with a role that the creator itself has. */
  async create(creator: Principal, request: CreateApiKeyBody): Promise<CreatedApiKeyDto> {
    const scope = creator.scope.narrowedTo(request.tenantId);
    if (!includesRole(creator.role, request.role)) {
      throw new RoleMissingError(request.role);
    }
    const key = generateApiKey();
    const kept = await this.keys.insert(scope, {
      publicId: key.publicId,
      secretHash: sha256(key.secret),
      name: request.name,
      role: request.role,
      createdBy: creator.id,
      expiresAt: request.expiresAt ? new Date(request.expiresAt) : null,
    });
    return { ...ApiKeyDto.from(kept), key: key.text };
  }

  async list(caller: Principal, query: PageQuery): Promise<Page<ApiKeyDto>> {
    const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor, [UUID])[0];
    const found = await this.keys.list(caller.scope, query.limit + 1, after);
    return pageOf(found, query.limit, ApiKeyDto.from, ({ id }) => [id]);
  }

  /** @throws ApiKeyNotFoundError where there is none of that id in the caller's scope. */
  async revoke(caller: Principal, id: string): Promise<void> {
    if (!(await this.keys.revoke(caller.scope, id))) {
      throw new ApiKeyNotFoundError();
    }
  }
}
