import type { Request } from 'express';
import type { Role } from './role.js';
import type { TenantScope } from './tenant-scope.js';

/** Who a credential makes the caller. */
export interface Principal {
  kind: 'admin-key' | 'api-key' | 'cron-secret';
  /** Names the principal in records: `admin-key`, `api-key:<publicId>`, `cron-secret`. Never a secret. */
  id: string;
  role: Role;
  scope: TenantScope;
}

export type AuthenticatedRequest = Request & { principal?: Principal };
