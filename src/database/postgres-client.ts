import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import type { TlsSettings } from '../config/database-address.js';
import { hideLibpqVariables } from '../config/libpq-variables.js';
import { DatabaseTlsError, TlsNotOfferedError } from './database.errors.js';
import { isTlsFailure, readTlsFiles, tlsReason, tlsRemedy } from './tls.js';

export interface PostgresClientConfig extends pg.ClientConfig {
  /** The certificate files, and what the errors say about TLS. */
  tls?: TlsSettings | undefined;
}

type Done = (error: Error | null, client?: PostgresClient) => void;

/** The answer of a server that is asked for TLS and has none. Anything else than this and "S" is no server, or one in trouble. */
const NO = 'N'.charCodeAt(0);

/**
 * The driver's client, with three differences: no environment variable of libpq has an effect on it, certificate files are
 * read when it connects, and a connection that fails because of TLS is a DatabaseTlsError, which says what to do.
 */
export class PostgresClient extends pg.Client {
  private readonly tls: TlsSettings | undefined;

  constructor(config: PostgresClientConfig) {
    const showLibpqVariables = hideLibpqVariables();
    try {
      super(config);
    } finally {
      showLibpqVariables();
    }
    this.tls = config.tls;
  }

  override connect(): Promise<PostgresClient>;
  override connect(done: Done): void;
  override connect(done?: Done): Promise<PostgresClient> | undefined {
    if (!done) {
      return new Promise((resolve, reject) => {
        this.connect((error) => (error ? reject(error) : resolve(this)));
      });
    }
    try {
      this.readTlsFiles();
    } catch (error) {
      process.nextTick(done, error);
      return undefined;
    }
    let isRefused = false;
    if (this.ssl && !this.tls?.direct) {
      this.connection.stream.once('data', (answer: Buffer) => {
        isRefused = answer[0] === NO;
      });
    }
    super.connect((error: Error | null) => {
      if (error && isRefused) {
        done(new TlsNotOfferedError(error));
      } else {
        done(error && this.explained(error), this);
      }
    });
    return undefined;
  }

  private readTlsFiles(): void {
    if (this.ssl && this.tls) {
      readTlsFiles(this.ssl as unknown as ConnectionOptions, this.tls);
    }
  }

  private explained(error: Error & { code?: unknown }): Error {
    if (!this.ssl || !isTlsFailure(error)) {
      return error;
    }
    return new DatabaseTlsError(tlsReason(error), tlsRemedy(String(error.code), this.tls?.mode ?? 'require'), error);
  }
}
