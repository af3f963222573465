import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import type { TlsSettings } from '../config/database-address.js';
import { DatabaseTlsError, TlsNotOfferedError } from './database.errors.js';
import { PostgresClient } from './postgres-client.js';
import { sqlStateOf } from './sql-state.js';
import { tlsOptions } from './tls.js';

export type PostgresPoolConfig = pg.PoolConfig & { tls?: TlsSettings | undefined };

export type Done = NonNullable<Parameters<pg.Pool['connect']>[0]>;

/**
 * The driver's pool, of PostgresClients. With `sslmode=prefer` or `allow` it does what libpq does: a connection that fails
 * because of TLS, or of its absence, is tried once more the other way. It stays with what works until that fails.
 */
export class PostgresPool extends pg.Pool {
  private readonly tls: TlsSettings | undefined;

  constructor(options: PostgresPoolConfig) {
    // The driver's types lack the parameter that it gives to the constructor.
    super({ ...options, Client: PostgresClient as unknown as new () => pg.ClientBase });
    this.tls = options.tls;
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(done: Done): void;
  override connect(done?: Done): Promise<pg.PoolClient> | undefined {
    if (!done) {
      return new Promise((resolve, reject) => {
        this.checkOut((error, client) => (error ? reject(error) : resolve(client as pg.PoolClient)));
      });
    }
    this.checkOut(done);
    return undefined;
  }

  /** What both forms of `connect` do. */
  protected checkOut(done: Done): void {
    const { ssl } = this.clientOptions;
    super.connect((first, client, release) => {
      if (!first || !this.hasOtherWay || !isAboutTls(first)) {
        done(first, client, release);
        return;
      }
      this.turnFrom(ssl);
      super.connect((second, ...connected) => {
        if (second) {
          this.clientOptions.ssl = ssl;
        }
        // That TLS is not offered explains nothing once the server has answered without it.
        const isFirstTheReason = !(first instanceof TlsNotOfferedError) && second && isAboutTls(second);
        done(isFirstTheReason ? first : second, ...connected);
      });
    });
  }

  private get hasOtherWay(): boolean {
    return this.tls?.mode === 'prefer' || this.tls?.mode === 'allow';
  }

  /** Unless a connection that failed at the same time has done so already. */
  private turnFrom(ssl: ConnectionOptions | boolean | undefined): void {
    if (this.tls && this.clientOptions.ssl === ssl) {
      this.clientOptions.ssl = ssl ? false : tlsOptions(this.tls);
    }
  }

  /** What each new client is made with. */
  private get clientOptions(): PostgresPoolConfig {
    return this.options as unknown as PostgresPoolConfig;
  }
}

/** Servers report a missing or unwanted encryption as an invalid authorization (28000), poolers as a protocol violation. */
function isAboutTls(error: Error): boolean {
  return error instanceof DatabaseTlsError || ['28000', '08P01'].includes(sqlStateOf(error) ?? '');
}
