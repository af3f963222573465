import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import type { ServerAccount } from './account.js';
import type { PostgresBinaries } from './binaries.js';
import { type DataDirectory, ROLE } from './directory.js';
import { ClusterNotCreatedError } from './embedded-postgres.errors.js';
import { findPostmaster, holdsWithin, send, shutDown } from './postmaster.js';

/** Where a server runs, with which programs, as whom and with which settings. */
export interface Installation {
  readonly binaries: PostgresBinaries;
  readonly account: ServerAccount;
  readonly directory: DataDirectory;
  readonly settings: Readonly<Record<string, string>>;
}

/**
 * What became of a launch: `taken` means that another server, or a rest of one, holds the cluster, or the port;
 * `interrupted` that somebody shut the server down before it was up.
 */
export type Launch =
  | { readonly outcome: 'running'; readonly server: ServerProcess }
  | { readonly outcome: 'taken' | 'interrupted' }
  | { readonly outcome: 'failed'; readonly detail: string };

const HOST = '127.0.0.1';

const DEFAULT_SETTINGS = { max_connections: '100', shared_buffers: '64MB', log_checkpoints: 'off' };

/** Not for the caller to choose. The prefix is what we read the log by: the pid, then the SQLSTATE. */
const FIXED_SETTINGS = {
  listen_addresses: HOST,
  unix_socket_directories: '',
  logging_collector: 'off',
  log_destination: 'stderr',
  log_line_prefix: '%m [%p] %e ',
};

/** SQLSTATE lock_file_exists. */
const LOCK_FILE_EXISTS = 'F0001';

/** A server that this process started. */
export class ServerProcess {
  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
  ) {}

  /** Starts a server on any free port and waits, for `patience` milliseconds, until it accepts connections. */
  static async launch({ binaries, account, directory, settings }: Installation, patience: number): Promise<Launch> {
    const port = await freePort();
    const all = { ...DEFAULT_SETTINGS, ...settings, ...FIXED_SETTINGS, port: String(port) };
    const args = [
      '-D',
      directory.pgData,
      ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ];
    const log = await open(directory.log, 'a', 0o600);
    try {
      await log.truncate();
      const child = account.spawn(binaries.postgres, args, { stdio: ['ignore', log.fd, log.fd], detached: true });
      await once(child, 'spawn');
      child.unref();
      return await new ServerProcess(child, port).whatBecameOfIt(directory, patience);
    } finally {
      await log.close();
    }
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Asks for a fast shutdown without waiting for it: all that a process which exits can do. */
  interrupt(): void {
    if (!this.hasEnded) send('SIGINT', this.pid);
  }

  /** @throws PostgresStopTimeoutError */
  async stop(): Promise<void> {
    if (!this.hasEnded) await shutDown(this.pid, () => this.hasEnded);
  }

  private get pid(): number {
    return this.child.pid as number;
  }

  private async whatBecameOfIt(directory: DataDirectory, patience: number): Promise<Launch> {
    const settled = await holdsWithin(patience, async () => this.hasEnded || (await this.isReady(directory)));
    if (settled && !this.hasEnded) return { outcome: 'running', server: this };
    const detail = await this.lastWords(directory.log);
    if (!settled) {
      await this.stop();
      return { outcome: 'failed', detail: `not ready after ${patience / 1000} s; its last words: ${detail}` };
    }
    if (this.child.exitCode === 0) return { outcome: 'interrupted' };
    const taken =
      detail.startsWith(LOCK_FILE_EXISTS) || (await findPostmaster(directory.pgData)) || !(await isFree(this.port));
    if (taken) return { outcome: 'taken' };
    return { outcome: 'failed', detail: `${detail} (${directory.log})` };
  }

  /** The port tells our server from a crashed one of the same pid, which is what containers that restart give out. */
  private async isReady(directory: DataDirectory): Promise<boolean> {
    const postmaster = await findPostmaster(directory.pgData);
    return postmaster?.pid === this.pid && postmaster.port === this.port && postmaster.ready;
  }

  /** From the SQLSTATE on. What the system's loader complains about comes without pid and severity. */
  private async lastWords(log: string): Promise<string> {
    const lines = (await readFile(log, 'utf8')).split('\n').filter((line) => line.trim() !== '');
    const own = lines.filter((line) => line.includes(` [${this.pid}] `));
    const telling = own.findLast((line) => /(FATAL|PANIC): /.test(line)) ?? own.at(-1) ?? lines.at(-1) ?? 'none';
    return telling.replace(/^.* \[\d+\] /, '');
  }
}

/** Creates an empty cluster whose superuser has the password in the file. The locale is built in: no system lacks it. */
export async function createCluster(
  { binaries, account }: Pick<Installation, 'binaries' | 'account'>,
  { pgData, passwordFile }: { pgData: string; passwordFile: string },
): Promise<void> {
  const args = [
    `--pgdata=${pgData}`,
    `--username=${ROLE}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
  ];
  const child = account.spawn(binaries.initdb, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: false });
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    complaint += text;
  });
  const [exitCode] = await once(child, 'close');
  if (exitCode !== 0) throw new ClusterNotCreatedError(firstLine(complaint) ?? `initdb ended with ${exitCode}`);
}

function firstLine(text: string): string | undefined {
  return text.split('\n').find((line) => line.trim() !== '');
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await close(server);
  return port;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  server.listen(port, HOST);
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  await close(server);
  return true;
}

async function close(server: Server): Promise<void> {
  server.close();
  await once(server, 'close');
}
