import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';

/** PgBouncer refuses root, so a root that runs the tests starts it as this user, who owns nothing. */
const NOBODY = 65_534;

export const pgBouncerIsInstalled = spawnSync('pgbouncer', ['--version']).status === 0;

/** A PgBouncer of a test's own before a database. */
export class PgBouncer {
  private constructor(
    private readonly child: ChildProcess,
    private readonly directory: string,
    readonly url: string,
  ) {}

  static async before(databaseUrl: string, poolMode: 'session' | 'transaction' | 'statement'): Promise<PgBouncer> {
    const { hostname, port, username, password } = new URL(databaseUrl);
    const directory = await mkdtemp(join(tmpdir(), 'lapse-pgbouncer-'));
    await chmod(directory, 0o755);
    const listenPort = await freePort();
    const file = join(directory, 'pgbouncer.ini');
    const user = `user=${username}${password ? ` password=${decodeURIComponent(password)}` : ''}`;
    await writeFile(
      file,
      `[databases]
* = host=${hostname} port=${port} ${user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listenPort}
unix_socket_dir =
auth_type = any
pool_mode = ${poolMode}
default_pool_size = 50
`,
    );
    const runAs = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    const child = spawn('pgbouncer', ['--quiet', file], { stdio: 'ignore', ...runAs });
    // A test that fails before it stops it must not keep the test runner waiting.
    child.unref();
    const url = new URL(databaseUrl);
    url.host = `127.0.0.1:${listenPort}`;
    const bouncer = new PgBouncer(child, directory, url.href);
    await eventually(() => answers(url.href), Boolean);
    return bouncer;
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
    await rm(this.directory, { recursive: true });
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}
