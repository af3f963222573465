import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { EmbeddedPostgres } from '../../src/database/embedded-postgres/embedded-postgres.js';

/** Of 16 MB each. */
const WAL_SEGMENTS_AHEAD = 256;

/**
 * Durability stays as PostgreSQL ships it. A quarter of the memory for its cache is the usual advice. The WAL limit keeps
 * checkpoints, which cost whoever is running, out.
 */
const SETTINGS = {
  shared_buffers: `${Math.floor(Math.min(4096, totalmem() / 1024 ** 2 / 4))}MB`,
  max_wal_size: '16GB',
  min_wal_size: `${WAL_SEGMENTS_AHEAD * 16}MB`,
  checkpoint_timeout: '30min',
  max_connections: '200',
};

const SHOWN_SETTINGS = [
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'shared_buffers',
  'max_wal_size',
  'checkpoint_timeout',
  'work_mem',
  'random_page_cost',
  'autovacuum',
  'jit',
];

/** The PostgreSQL that everything is measured on: our own, or the one in BENCH_DATABASE_URL. */
export class BenchServer {
  private readonly created = new Set<string>();

  private constructor(
    private readonly url: string,
    private readonly embedded: EmbeddedPostgres | undefined,
  ) {}

  static async start(): Promise<BenchServer> {
    const given = process.env.BENCH_DATABASE_URL;
    if (given) {
      return new BenchServer(given, undefined);
    }
    const dataDirectory = await mkdtemp(join(tmpdir(), 'lapse-bench-'));
    const embedded = await EmbeddedPostgres.start({ dataDirectory, settings: SETTINGS });
    return new BenchServer(embedded.url, embedded);
  }

  /**
   * Makes the WAL files that a server which has run for a while has lying ready. Whoever needs a new one waits until it
   * is filled with zeros, and everybody who commits waits with him.
   */
  async makeWal(): Promise<void> {
    if (!this.embedded) {
      return;
    }
    for (let segment = 0; segment < WAL_SEGMENTS_AHEAD; segment += 1) {
      await this.run(`SELECT pg_logical_emit_message(false, 'bench', '')`);
      await this.run('SELECT pg_switch_wal()');
    }
    await this.run('CHECKPOINT');
  }

  async stop(): Promise<void> {
    if (this.embedded) {
      await this.embedded.stop();
      await rm(this.embedded.dataDirectory, { recursive: true, force: true });
      return;
    }
    for (const name of this.created) {
      await this.drop(name);
    }
  }

  urlOf(database: string): string {
    const url = new URL(this.url);
    url.pathname = `/${database}`;
    return url.href;
  }

  async create(database: string): Promise<string> {
    await this.drop(database);
    this.created.add(database);
    await this.run(`CREATE DATABASE "${database}" TEMPLATE template0`);
    return this.urlOf(database);
  }

  /**
   * A copy of the files: heap, indexes, free space, visibility and statistics are the template's to the byte, which no
   * restoring UPDATE or reload would give. A checkpoint comes with it.
   */
  async copy(template: string, database: string): Promise<string> {
    await this.drop(database);
    this.created.add(database);
    const strategy = (await this.majorVersion()) >= 15 ? 'STRATEGY file_copy' : '';
    await this.run(`CREATE DATABASE "${database}" TEMPLATE "${template}" ${strategy}`);
    return this.urlOf(database);
  }

  async drop(database: string): Promise<void> {
    await this.run(`DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`);
    this.created.delete(database);
  }

  /** One line: the version and the settings that matter here. */
  async describe(): Promise<string> {
    const [version] = await this.run('SHOW server_version');
    const settings = await this.run(
      `SELECT name, current_setting(name) AS value FROM pg_settings WHERE name = ANY ('{${SHOWN_SETTINGS}}')
        ORDER BY array_position('{${SHOWN_SETTINGS}}', name)`,
    );
    const origin = this.embedded ? 'embedded' : 'BENCH_DATABASE_URL';
    return `PostgreSQL ${version?.server_version} (${origin}): ${settings.map(({ name, value }) => `${name}=${value}`).join(', ')}`;
  }

  private async majorVersion(): Promise<number> {
    const [row] = await this.run('SHOW server_version_num');
    return Math.floor(Number(row?.server_version_num) / 10_000);
  }

  private async run(sql: string): Promise<Record<string, string>[]> {
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }
}
