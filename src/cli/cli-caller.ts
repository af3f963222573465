import { randomUUID } from 'node:crypto';
import { userInfo } from 'node:os';
import type { INestApplicationContext } from '@nestjs/common';
import type { Caller } from '../access/principal.js';
import { TenantScope } from '../access/tenant-scope.js';
import { AuditLogService } from '../audit/audit-log.service.js';
import { asProblemError } from '../http/problem.filter.js';

/**
 * Whoever runs the command. It can reach the database itself, so there is nothing that it may not do; but it is on
 * record with the name that it has on this machine.
 *
 * @param action what the audit log calls the deed; undefined for one that changes nothing.
 * @param tenantId narrows what it does to this tenant.
 */
export function cliCaller(action: string | undefined, tenantId?: string): Caller {
  const platform = TenantScope.platform();
  return {
    principal: { kind: 'cli', id: `cli:${userName()}`, role: 'admin', scope: platform },
    scope: platform.narrowedTo(tenantId),
    address: 'local',
    requestId: randomUUID(),
    action,
  };
}

/**
 * Puts on record what was refused or failed, as a route does; what is done is put there by the service that does it.
 * What only reads leaves no record.
 */
export async function onRecord<T>(
  app: INestApplicationContext,
  { action, ...caller }: Caller,
  target: string | null,
  deed: () => Promise<T>,
): Promise<T> {
  try {
    return await deed();
  } catch (error) {
    if (action !== undefined) {
      const { status, code } = asProblemError(error);
      const refusal = { ...caller, action, target, status, code };
      // It fails where the database is the reason; that is what the caller must be told.
      await app
        .get(AuditLogService)
        .recordRefused(refusal)
        .catch(() => undefined);
    }
    throw error;
  }
}

/** A container may run as a number that has no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.()}`;
  }
}
