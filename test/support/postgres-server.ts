import { type ChildProcess, execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { ServerAccount } from '../../src/database/embedded-postgres/account.js';
import { findPostgresBinaries } from '../../src/database/embedded-postgres/binaries.js';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';

const DEBIAN_15 = '/usr/lib/postgresql/15/bin';

/** The major versions that a test can start here: the one that comes along, and Debian's 15 if it is installed. */
export const SERVER_VERSIONS: readonly (15 | 18)[] = existsSync(DEBIAN_15) ? [15, 18] : [18];

interface ServerOptions {
  version: 15 | 18;
  /** Lines of pg_hba.conf; everybody is trusted unless given. */
  hba?: readonly string[];
  /** Written beside the data, readable by the server alone; settings name them relative to the data. */
  files?: Readonly<Record<string, string>>;
  settings?: Readonly<Record<string, string>>;
}

/** A PostgreSQL of a test's own on a loopback port, whose superuser is `postgres`. */
export class PostgresServer {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    readonly port: number,
  ) {}

  static async start({ version, hba, files = {}, settings = {} }: ServerOptions): Promise<PostgresServer> {
    const bin = version === 15 ? DEBIAN_15 : dirname((await findPostgresBinaries()).postgres);
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'lapse-server-')));
    const data = join(folder, 'data');
    const account = await ServerAccount.toRun(data);
    await account.takeOver(folder);
    await account.reach([bin, folder]);
    const init = ['-D', data, '-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync'];
    const initdb = account.spawn(join(bin, 'initdb'), init, { stdio: 'ignore', detached: false });
    const [code] = await once(initdb, 'exit');
    if (code !== 0) {
      throw new Error(`initdb ended with ${code}`);
    }
    await writeFile(join(data, 'pg_hba.conf'), `${(hba ?? ['host all all 127.0.0.1/32 trust']).join('\n')}\n`);
    for (const [name, text] of Object.entries(files)) {
      await writeFile(join(data, name), text, { mode: 0o600 });
    }
    await account.takeOver(data);
    const port = await freePort();
    const all = { ...settings, listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off', port };
    const args = ['-D', data, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
    const child = account.spawn(join(bin, 'postgres'), args, { stdio: 'ignore', detached: true });
    // A test that fails before it stops it must not keep the test runner waiting.
    child.unref();
    await eventually(async () => child.exitCode !== null || accepts(port), Boolean);
    return new PostgresServer(child, folder, port);
  }

  /** @param search what follows the question mark. */
  url(user = 'postgres', database = 'postgres', search = ''): string {
    return `postgres://${user}@127.0.0.1:${this.port}/${database}${search && `?${search}`}`;
  }

  /** Each text of several statements is one transaction. */
  async run(url: string, ...texts: string[]): Promise<pg.QueryResult> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      let result: pg.QueryResult | undefined;
      for (const text of texts) {
        result = await client.query(text);
      }
      return result as pg.QueryResult;
    } finally {
      await client.end();
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.kill('SIGQUIT');
    await ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A shell, as a person has it, in the folder of the project. */
export function inShell(
  script: string,
  environment: Record<string, string>,
): Promise<{ stdout: string; stderr: string }> {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...environment };
  return promisify(execFile)('bash', ['-c', script], { env });
}

/** Accepting is not yet being ready: a server that is starting up says so with SQLSTATE 57P03. */
async function accepts(port: number): Promise<boolean> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'nobody', database: 'postgres' });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.end();
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    return code !== undefined && code !== 'ECONNREFUSED' && code !== '57P03';
  }
}
