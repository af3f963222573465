import { parseDatabaseUrl } from '../config/database-address.js';
import { DatabasePasswordMissingError } from './database.errors.js';
import type { PostgresPoolConfig } from './postgres-pool.js';
import { tlsOptions } from './tls.js';

/**
 * How to connect to the database of a URL: for every pool that Lapse opens. Each setting is given, so that the driver takes
 * none from elsewhere.
 *
 * @param url empty if no connection is ever opened.
 */
export function connectionOptions(url: string): PostgresPoolConfig {
  if (url === '') {
    return {};
  }
  const { host, port, user, database, password, options, applicationName, requiresChannelBinding, tls } =
    parseDatabaseUrl(url);
  return {
    host,
    port,
    user,
    database,
    password: password ?? missingPassword,
    options,
    ...(applicationName ? { application_name: applicationName } : {}),
    enableChannelBinding: requiresChannelBinding,
    sslnegotiation: tls.direct ? 'direct' : 'postgres',
    // `allow` begins without; the pool turns to the other if the server wants that.
    ssl: tls.mode === 'disable' || tls.mode === 'allow' ? false : tlsOptions(tls),
    tls,
  };
}

/** Called only if the server asks for a password. */
function missingPassword(): never {
  throw new DatabasePasswordMissingError();
}
