import pg from 'pg';
import { PostgresClient } from '../postgres-client.js';
import { ROLE } from './directory.js';
import { holdsWithin } from './postmaster.js';

/** 'lapse' in ASCII. Advisory locks are per database: this one is taken in `postgres`, where Lapse has no others. */
const OWNER_LOCK = 0x6c61707365;

/** How long PostgreSQL may take to notice that an owner was killed, in milliseconds. */
const GRACE = 2_000;

/** @types/pg doesn't know these two methods of `pg`, which decide whether the connection keeps the process alive. */
export type OwnerConnection = pg.Client & { ref(): void; unref(): void };

/**
 * Claims a running server for this process, by a session advisory lock on a connection that stays open: the system
 * closes it when we die in whatever way, and PostgreSQL then frees the lock. Who holds it owns the data directory; a
 * server that nobody owns is an orphan of a crash.
 *
 * @returns the connection that holds the claim, or undefined where another live process holds it
 * @throws the error of `pg` where the server can't be asked
 */
export async function claimOwnership(server: { port: number; password: string }): Promise<OwnerConnection | undefined> {
  const client = clientOf(server);
  try {
    await client.connect();
    await client.query('SET idle_session_timeout = 0; SET statement_timeout = 0');
    if (await holdsWithin(GRACE, () => lock(client))) return client;
  } catch (error) {
    await release(client);
    throw error;
  }
  await release(client);
  return undefined;
}

/**
 * Whether a live process owns the server, and has made it ready to be used. Asks without claiming anything, so that it
 * is in nobody's way.
 *
 * @throws the error of `pg` where the server can't be asked
 */
export async function isOwnedAndReady(server: { port: number; password: string }, database: string): Promise<boolean> {
  const client = clientOf(server);
  try {
    await client.connect();
    const { rows } = await client.query(
      `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $2) AND EXISTS (
         SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
          WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
            AND (l.classid::bigint << 32) + l.objid::bigint = $1) AS ready`,
      [OWNER_LOCK, database],
    );
    return rows[0].ready;
  } finally {
    await release(client);
  }
}

/** Gives the claim back; a server that is gone already is no failure. */
export async function release(client: OwnerConnection): Promise<void> {
  client.ref();
  await client.end().catch(() => {});
}

/** Creates the database where it is missing. */
export async function ensureDatabase(client: pg.Client, name: string): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
  if (rowCount === 0) await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`);
}

function clientOf(server: { port: number; password: string }): OwnerConnection {
  const client = new PostgresClient({
    host: '127.0.0.1',
    port: server.port,
    user: ROLE,
    password: server.password,
    database: 'postgres',
    ssl: false,
    application_name: 'lapse-embedded-owner',
    connectionTimeoutMillis: 5_000,
  }) as unknown as OwnerConnection;
  // The server may go away at any time, by our own stop for one; without a listener that would end this process.
  client.on('error', () => {});
  return client;
}

async function lock(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query('SELECT pg_try_advisory_lock($1) AS locked', [OWNER_LOCK]);
  return rows[0].locked;
}
