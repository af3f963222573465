import { queryRow, RECORD_LIMITS } from '../../database/short-transaction.js';
import { NEEDED_COLUMNS } from '../../executions/watched-table.js';
import type { Check } from './check.js';
import { fail, ok, warn } from './finding.js';

const WRITTEN_COLUMNS = ['status', 'updated_at', 'metadata'];

/** By column, because that is how a careful owner may have granted them. */
export const privilegesCheck: Check = {
  name: 'privileges',
  needs: 'watched-table',
  async look({ dataSource, watched }) {
    const found = await queryRow<Record<'usage' | 'select' | 'update' | 'policies', boolean> & { role: string }>(
      dataSource,
      RECORD_LIMITS,
      `SELECT current_user AS role, row_security_active(t.oid) AS policies,
              has_schema_privilege(t.relnamespace, 'USAGE') AS usage,
              (SELECT bool_and(has_column_privilege(t.oid, name, 'SELECT')) FROM unnest($2::text[]) name) AS "select",
              (SELECT bool_and(has_column_privilege(t.oid, name, 'UPDATE')) FROM unnest($3::text[]) name) AS "update"
         FROM pg_class t WHERE t.oid = $1::regclass`,
      [watched.name, NEEDED_COLUMNS, WRITTEN_COLUMNS],
    );
    const role = `"${found.role}"`;
    const table = (['select', 'update'] as const)
      .filter((privilege) => !found[privilege])
      .map((name) => name.toUpperCase());
    const grants = [
      found.usage ? [] : [`GRANT USAGE ON SCHEMA "${watched.schema}" TO ${role};`],
      table.length === 0 ? [] : [`GRANT ${table.join(', ')} ON ${watched.name} TO ${role};`],
    ].flat();
    if (grants.length > 0) {
      const missing = [...(found.usage ? [] : ['USAGE of its schema']), ...table].join(', ');
      return fail(
        `role ${role} lacks ${missing} on ${watched.name}`,
        ['let the owner of the table run:', ...grants].join('\n'),
      );
    }
    return found.policies
      ? warn(
          `row-level security applies to role ${role} on ${watched.name}: what a policy hides is never timed out`,
          'let a policy show the role every row that is suspended, or give it BYPASSRLS',
        )
      : ok(`role ${role} may SELECT and UPDATE ${watched.name}`);
  },
};
