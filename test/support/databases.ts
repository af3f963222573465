import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { readConfiguration } from '../../src/config/configuration.js';
import { openDatabase } from '../../src/database/open-database.js';

const PREFIX = 'lapse_test_';

/** A database with every table of Lapse and of the host, that each test file copies. */
export async function createTemplate(server: string): Promise<string> {
  const name = `lapse_template_${randomBytes(4).toString('hex')}`;
  await onServer(server, `CREATE DATABASE ${name}`);
  const configuration = readConfiguration({ DATABASE_URL: urlOf(server, name), LAPSE_CREATE_WATCHED_TABLES: 'true' });
  await (await openDatabase(configuration)).destroy();
  return name;
}

export async function dropTemplate(server: string): Promise<void> {
  await onServer(server, `DROP DATABASE IF EXISTS ${process.env.LAPSE_TEST_TEMPLATE}`);
}

/** Databases that failing tests of this run left behind. */
export async function keptDatabases(server: string): Promise<string[]> {
  const rows = await onServer(server, `SELECT datname FROM pg_database WHERE datname LIKE '${PREFIX}${runId()}%'`);
  return rows.map(({ datname }) => datname);
}

/** A new database: a copy of the template, or empty, where it may have another encoding. */
export async function createDatabase(from: 'template' | 'nothing', encoding?: 'LATIN1'): Promise<string> {
  const name = `${PREFIX}${runId()}_${randomBytes(4).toString('hex')}`;
  const template = from === 'template' ? process.env.LAPSE_TEST_TEMPLATE : 'template0';
  await onServer(
    testServer(),
    `CREATE DATABASE ${name} TEMPLATE ${template}${encoding ? ` ENCODING ${encoding} LOCALE 'C'` : ''}`,
  );
  return urlOf(testServer(), name);
}

export async function dropDatabase(url: string): Promise<void> {
  await onServer(testServer(), `DROP DATABASE IF EXISTS ${new URL(url).pathname.slice(1)} WITH (FORCE)`);
}

export function testServer(): string {
  return process.env.LAPSE_TEST_SERVER as string;
}

function runId(): string {
  return (process.env.LAPSE_TEST_TEMPLATE as string).slice('lapse_template_'.length);
}

function urlOf(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

async function onServer(server: string, sql: string): Promise<{ datname: string }[]> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
