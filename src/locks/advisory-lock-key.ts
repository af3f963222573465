import { createHash } from 'node:crypto';

/**
 * The 64-bit key of a lock: the first 8 bytes of a SHA-256, as decimal text because a JavaScript number can't hold it.
 *
 * Advisory locks are shared by everybody in a database, so the key covers application, database and schema too: two
 * installations beside each other, or another program's lock of the same name, don't meet.
 */
export function advisoryLockKey(of: { application: string; database: string; schema: string; name: string }): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([of.application, of.database, of.schema, of.name]))
    .digest();
  return digest.readBigInt64BE(0).toString();
}
