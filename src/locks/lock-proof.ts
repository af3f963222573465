import { randomUUID } from 'node:crypto';
import type { LockConnections } from './lock-connections.js';
import { LocksUnreliableError, LockUnavailableError } from './locks.errors.js';

/**
 * Tries a lock of no other use before anything relies on one. Some databases that speak PostgreSQL's protocol accept
 * every call of its lock functions and lock nothing (CockroachDB); a pooler in statement mode refuses transactions.
 *
 * @throws LocksUnreliableError
 */
export async function proveLocks(databaseUrl: string, connections: LockConnections): Promise<void> {
  const { host, pathname } = new URL(databaseUrl);
  try {
    const fault = await faultOf(connections, `proof ${randomUUID()}`);
    if (fault !== undefined) {
      throw new LocksUnreliableError(host + pathname, fault);
    }
  } catch (error) {
    if (error instanceof LockUnavailableError) {
      const { cause } = error;
      throw new LocksUnreliableError(host + pathname, cause instanceof Error ? cause.message : String(cause), cause);
    }
    throw error;
  }
}

/** While one connection holds a lock, another must be refused, and must get it afterwards. */
async function faultOf(connections: LockConnections, name: string): Promise<string | undefined> {
  const first = await connections.tryToTake(name);
  if (!first) {
    return 'a lock that nobody holds was refused';
  }
  const second = await connections.tryToTake(name).finally(() => first.release());
  if (second) {
    await second.release();
    return 'two connections held the same lock at once';
  }
  const third = await connections.tryToTake(name);
  await third?.release();
  return third ? undefined : 'a lock outlived the transaction that held it';
}
