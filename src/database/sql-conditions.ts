import type { TenantScope } from '../access/tenant-scope.js';
import type { SqlParameters } from './sql-parameters.js';

/** SQL: that the row is one of the scope's; nothing for the whole platform. */
export function inScope({ tenantId }: TenantScope, parameters: SqlParameters, alias = 'e'): string[] {
  return equalities({ tenant_id: tenantId ?? undefined }, parameters, alias);
}

/** SQL: that each column has its value; columns whose value is undefined are left out. */
export function equalities(
  wanted: Record<string, string | undefined>,
  parameters: SqlParameters,
  alias = 'e',
): string[] {
  return Object.entries(wanted)
    .filter(([, value]) => value !== undefined)
    .map(([column, value]) => `${alias}.${column} = ${parameters.add(value)}`);
}
