import 'reflect-metadata';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedPostgres } from '../../src/database/embedded-postgres/embedded-postgres.js';
import { createTemplate } from './databases.js';

/** The server that all test files share: the one in TEST_DATABASE_URL, or one of our own without durability. */
export default async function startServer(): Promise<void> {
  const given = process.env.TEST_DATABASE_URL;
  const embedded = given ? undefined : await startEmbedded();
  process.env.LAPSE_TEST_SERVER = given ?? embedded?.url;
  process.env.LAPSE_TEST_TEMPLATE = await createTemplate(process.env.LAPSE_TEST_SERVER as string);
  (globalThis as { lapseTestServer?: EmbeddedPostgres | undefined }).lapseTestServer = embedded;
}

async function startEmbedded(): Promise<EmbeddedPostgres> {
  return EmbeddedPostgres.start({
    dataDirectory: await mkdtemp(join(tmpdir(), 'lapse-test-')),
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' },
  });
}
