import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { userInfo } from 'node:os';
import type { Host } from './host.js';

const PROGRAM = 'dist/cli.js';

/** Who a command says that it is. */
export const ME = `cli:${userInfo().username}`;

/** What a command left behind. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

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

  /** To its end. */
  static run(args: readonly string[], environment: Record<string, string>): Promise<Ended> {
    return Command.start(args, environment).ended();
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async ended(): Promise<Ended> {
    await this.closed;
    return { code: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }

  private static spawn(program: string, args: readonly string[], environment: Record<string, string>): Command {
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, PORT: '0', ...environment };
    return new Command(spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] }));
  }
}

/** Who did what, oldest first. */
export async function auditLogOf(host: Host): Promise<Record<string, unknown>[]> {
  const { rows } = await host.pool.query(
    `SELECT principal_kind AS kind, principal_id AS who, tenant_id AS tenant, address, action, outcome, code, target
       FROM lapse.audit_log ORDER BY id`,
  );
  return rows;
}
