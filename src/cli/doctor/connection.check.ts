import { describeServer, parseDatabaseUrl } from '../../config/database-address.js';
import { queryRow, RECORD_LIMITS } from '../../database/short-transaction.js';
import type { Database } from './check.js';
import { type Outcome, ok } from './finding.js';

/** Where we are and as whom; the password isn't part of it. */
export async function lookAtConnection({ configuration, dataSource }: Database): Promise<Outcome> {
  const { database, role } = await queryRow<{ database: string; role: string }>(
    dataSource,
    RECORD_LIMITS,
    'SELECT current_database() AS database, current_user AS role',
  );
  const server = describeServer(parseDatabaseUrl(configuration.databaseUrl));
  const whose = configuration.embedded ? `, Lapse's own under ${configuration.dataDirectory}` : '';
  return ok(`database "${database}" on ${server} as role "${role}"${whose}`);
}
