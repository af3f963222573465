import type pg from 'pg';
import { DatabaseUnreachableError } from './database.errors.js';
import { type Done, PostgresPool, type PostgresPoolConfig } from './postgres-pool.js';

/**
 * For the server's end of a connection: if our machine vanishes without a word, the server notices within 20 s, not after
 * the two hours that are usual, also while it sends an answer. A Unix socket ignores them.
 */
const SERVER_KEEPALIVES = `
  SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = '20s'`;

/**
 * The pool of a data source, with two differences:
 *
 * - A failed connection attempt is a DatabaseUnreachableError. If a server or a pooler accepts a connection and then
 *   closes it, the driver throws an Error without a code.
 * - `retireConnections()` replaces all connections that exist now. Idle ones are closed when they are next checked out.
 */
export class ConnectErrorPool extends PostgresPool {
  private generation = 0;
  private readonly generations = new WeakMap<pg.PoolClient, number>();

  constructor(options: PostgresPoolConfig) {
    super(options);
    this.on('connect', (client) => {
      this.generations.set(client, this.generation);
      // Sent before whatever the connection is opened for. A pooler keeps it for the server connection, which is as well.
      client.query(SERVER_KEEPALIVES).catch(() => undefined);
    });
  }

  /** After one connection was silent or led to a server that can't be written, the others are likely to do the same. */
  retireConnections(): void {
    this.generation += 1;
  }

  protected override checkOut(done: Done): void {
    super.checkOut((error, client, release) => {
      if (error) {
        done(new DatabaseUnreachableError(error), client, release);
      } else if (client && this.generations.get(client) !== this.generation) {
        release(true);
        this.checkOut(done);
      } else {
        done(undefined, client, release);
      }
    });
  }
}
