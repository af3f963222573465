import pg from 'pg';
import { DatabaseUnreachableError } from './database.errors.js';

type Done = NonNullable<Parameters<pg.Pool['connect']>[0]>;

/**
 * The driver's pool, except that it tells by a class of error that it could not connect: where a server or a pooler
 * accepts and then goes away, the driver throws an Error without a code.
 */
export class TellingPool extends pg.Pool {
  override connect(): Promise<pg.PoolClient>;
  override connect(done: Done): void;
  override connect(done?: Done): Promise<pg.PoolClient> | undefined {
    if (done) {
      super.connect((error, client, release) => done(error && new DatabaseUnreachableError(error), client, release));
      return undefined;
    }
    return super.connect().catch((error) => {
      throw new DatabaseUnreachableError(error);
    });
  }
}
