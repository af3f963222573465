import pg from 'pg';
import { DatabaseUnreachableError } from './database.errors.js';

type Done = NonNullable<Parameters<pg.Pool['connect']>[0]>;

/**
 * The driver's pool, with two differences:
 *
 * - A failed connection attempt is a DatabaseUnreachableError. If a server or a pooler accepts a connection and then
 *   closes it, the driver throws an Error without a code.
 * - `retireConnections()` replaces all connections that exist now. Idle ones are closed when they are next checked out.
 */
export class ConnectErrorPool extends pg.Pool {
  private generation = 0;
  private readonly generations = new WeakMap<pg.PoolClient, number>();

  constructor(options: pg.PoolConfig) {
    super(options);
    this.on('connect', (client) => this.generations.set(client, this.generation));
  }

  /** After one connection was silent or led to a server that can't be written, the others are likely to do the same. */
  retireConnections(): void {
    this.generation += 1;
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(done: Done): void;
  override connect(done?: Done): Promise<pg.PoolClient> | undefined {
    if (!done) {
      return new Promise((resolve, reject) => {
        this.connect((error, client) => (error ? reject(error) : resolve(client as pg.PoolClient)));
      });
    }
    super.connect((error, client, release) => {
      if (error) {
        done(new DatabaseUnreachableError(error), client, release);
      } else if (client && this.generations.get(client) !== this.generation) {
        release(true);
        this.connect(done);
      } else {
        done(undefined, client, release);
      }
    });
    return undefined;
  }
}
