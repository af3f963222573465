import { EmbeddedPostgres } from '../../src/database/embedded-postgres/embedded-postgres.js';

/**
 * Owns an embedded PostgreSQL in a process of its own, for tests that kill its owner:
 * prints its URL, and exits without stopping it once standard input ends.
 */
const server = await EmbeddedPostgres.start({ dataDirectory: process.argv[2] as string });
process.stdout.write(`${server.url}\n`);
process.stdin.resume().once('end', () => process.exit());
