import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from './eventually.js';
import { ADMIN_KEY } from './lapse.js';

const services: Service[] = [];

/** After each test: those that are still running. */
export async function endServices(): Promise<void> {
  await Promise.all(services.splice(0).map((service) => service.end('SIGKILL')));
}

/** The service as a process of its own, as `npm start` starts it. */
export class Service {
  /** Of both streams. */
  output = '';
  stderr = '';
  private readonly exited: Promise<unknown[]>;

  private constructor(private readonly child: ChildProcess) {
    this.exited = once(child, 'close');
    child.stdout?.on('data', (chunk) => {
      this.output += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      this.output += chunk;
      this.stderr += chunk;
    });
  }

  static run(environment: Record<string, string>): Service {
    const child = spawn(process.execPath, ['--enable-source-maps', 'dist/main.js'], {
      env: {
        PATH: process.env.PATH,
        HOST: '127.0.0.1',
        PORT: '0',
        LAPSE_ADMIN_KEY: ADMIN_KEY,
        LAPSE_SWEEP_CRON: 'off',
        ...environment,
      },
    });
    const service = new Service(child);
    services.push(service);
    return service;
  }

  /** Waits for the line that names the URL. */
  async url(): Promise<string> {
    const output = await eventually(
      async () => this.output,
      (text) => /Listening on http/.test(text),
      20_000,
    );
    return (/Listening on (http:\/\/[^\s,"]+)/.exec(output) ?? [])[1] as string;
  }

  /** It keeps its connections, and answers no more. */
  freeze(): void {
    this.child.kill('SIGSTOP');
  }

  async end(signal?: NodeJS.Signals): Promise<{ code: number | null; ms: number }> {
    const began = Date.now();
    if (signal) {
      this.child.kill(signal);
    }
    if (this.child.exitCode === null && this.child.signalCode === null) {
      await this.exited;
    }
    return { code: this.child.exitCode, ms: Date.now() - began };
  }
}
