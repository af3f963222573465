import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { type Ended, runOn } from './command-client.js';
import type { Host } from './host.js';

export type { Ended } from './command-client.js';

const PROGRAM = 'dist/cli.js';
const SERVER_PROGRAM = 'dist/test/support/command-server.js';

/** Who a command says that it is. */
export const ME = `cli:${userInfo().username}`;

/**
 * A command as a user starts it: the built program, with an environment that holds nothing but what is given, and `PORT=0`
 * unless it is given: the usual port may be taken on the machine that runs the tests.
 */
export class Command {
  stdout = '';
  stderr = '';
  private readonly closed: Promise<unknown[]>;

  private constructor(private readonly child: ChildProcess) {
    this.closed = once(child, 'close');
    child.stdout?.on('data', (chunk) => {
      this.stdout += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      this.stderr += chunk;
    });
  }

  static start(args: readonly string[], environment: Record<string, string>): Command {
    return Command.spawn(process.execPath, [PROGRAM, ...args], environment);
  }

  /** With a terminal of so many columns for standard output and standard error, which come as one. */
  static startInTerminal(args: readonly string[], environment: Record<string, string>, columns = 80): Command {
    const line = [`stty cols ${columns};`, process.execPath, PROGRAM, ...args].join(' ');
    return Command.spawn('script', ['--quiet', '--return', '--command', line, '/dev/null'], environment);
  }

  /**
   * To its end. With a database, on the server of commands, which has loaded the program already; a command without one,
   * which may start a PostgreSQL, or with options of Node.js needs a process.
   */
  static async run(args: readonly string[], environment: Record<string, string>): Promise<Ended> {
    if (!environment.DATABASE_URL || environment.NODE_OPTIONS) {
      return Command.start(args, environment).ended();
    }
    return runOn(await commandServer(), { args, environment: environmentOf(environment) });
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async ended(): Promise<Ended> {
    await this.closed;
    return { code: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }

  private static spawn(program: string, args: readonly string[], environment: Record<string, string>): Command {
    return new Command(spawn(program, args, { env: environmentOf(environment), stdio: ['ignore', 'pipe', 'pipe'] }));
  }
}

function environmentOf(environment: Record<string, string>): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env;
  return { PATH, HOME, PORT: '0', ...environment };
}

/** Where the test files of one Jest worker, which have modules of their own, find the server that they share. */
const SERVER = Symbol.for('lapse.command-server');

/** The socket of the server of commands of this process, which ends with it. */
export function commandServer(): Promise<string> {
  const shared = process as { [SERVER]?: Promise<string> };
  shared[SERVER] ??= startServer();
  return shared[SERVER];
}

async function startServer(): Promise<string> {
  const socket = join(await mkdtemp(join(tmpdir(), 'lapse-commands-')), 'socket');
  const server = fork(SERVER_PROGRAM, [socket], { execArgv: ['--enable-source-maps'] });
  await once(server, 'message');
  server.unref();
  server.channel?.unref();
  process.once('exit', () => rmSync(dirname(socket), { recursive: true, force: true }));
  return socket;
}

/** Who did what, oldest first. */
export async function auditLogOf(host: Host): Promise<Record<string, unknown>[]> {
  const { rows } = await host.pool.query(
    `SELECT principal_kind AS kind, principal_id AS who, tenant_id AS tenant, address, action, outcome, code, target
       FROM lapse.audit_log ORDER BY id`,
  );
  return rows;
}
