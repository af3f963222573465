import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { ADMIN_KEY } from './lapse.js';

const STARTS_WITHIN_MS = 60_000;
const POLL_MS = 250;

/** The built service in a process of its own, as the container runs it. */
export class Service {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  static async start(main: string, databaseUrl: string, environment: Record<string, string> = {}): Promise<Service> {
    const child = spawn(process.execPath, ['--enable-source-maps', main], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        PATH: process.env.PATH,
        DATABASE_URL: databaseUrl,
        LAPSE_ADMIN_KEY: ADMIN_KEY,
        LAPSE_SWEEP_CRON: 'off',
        LAPSE_RATE_LIMIT: 'off',
        HOST: '127.0.0.1',
        PORT: '0',
        ...environment,
      },
    });
    process.once('exit', () => child.kill('SIGKILL'));
    try {
      return new Service(child, await urlIn(child));
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  get pid(): number {
    return this.child.pid as number;
  }

  get headers(): Record<string, string> {
    return { authorization: `Bearer ${ADMIN_KEY}` };
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url + path, { headers: { ...this.headers, ...headers } });
  }

  /** Requests a sweep and waits for its end. @throws where it does not succeed. */
  async sweep(timeoutSeconds: number): Promise<void> {
    const response = await fetch(`${this.url}/v1/sweeps?wait=60`, {
      method: 'POST',
      headers: { ...this.headers, 'content-type': 'application/json' },
      body: JSON.stringify({ timeoutSeconds }),
    });
    const sweep = (await response.json()) as { id: string; status?: string };
    if (sweep.status !== 'succeeded') {
      throw new Error(`The sweep answered ${response.status}: ${JSON.stringify(sweep)}`);
    }
  }

  /** Waits until the newest sweep of a list has ended. @throws where it did not succeed. */
  async ended(list: string): Promise<void> {
    for (;;) {
      const [newest] = ((await (await this.get(list)).json()) as { items: { status: string }[] }).items;
      if (newest && newest.status !== 'running') {
        if (newest.status !== 'succeeded') {
          throw new Error(`The sweep ended as ${JSON.stringify(newest)}`);
        }
        return;
      }
      await delay(POLL_MS);
    }
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      await ended;
    }
  }
}

/** The service says where it listens in its log; the port is any free one. */
async function urlIn(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const late = setTimeout(() => lines.close(), STARTS_WITHIN_MS);
  try {
    for await (const line of lines) {
      const [url] = /http:\/\/[\d.]+:\d+/.exec(line) ?? [];
      if (url) {
        return url;
      }
    }
    throw new Error(`The service ended, or didn't say within ${STARTS_WITHIN_MS / 1000} s where it listens`);
  } finally {
    clearTimeout(late);
    child.stdout?.resume();
  }
}
