import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Measure } from '../measure.js';
import { builtService } from '../support/build-service.js';
import { createExecutions } from '../support/fixture.js';
import { ADMIN_KEY } from '../support/lapse.js';
import { ratiosOf, spreadOf } from '../support/statistics.js';

const DATABASE = 'lapse_bench_start';
const BARE_NEST = fileURLToPath(new URL('../support/bare-nest.mjs', import.meta.url));
const POLL_MS = 5;
const GIVES_UP_AFTER_MS = 30_000;

interface Sizes {
  rounds: number;
}

/** From the start of the process to the first answer that says "ready", on a database that has our tables already. */
export const start: Measure<Sizes> = {
  full: { rounds: 10 },
  quick: { rounds: 1 },
  async take(server, { rounds }, report) {
    report.progress('start: starting the service and a bare Nest application in turns');
    const main = await builtService();
    const lapse: number[] = [];
    const bare: number[] = [];
    const url = await createExecutions(server, DATABASE, {
      rows: 1_000,
      tenants: 10,
      status: `'completed'`,
      since: 'now()',
    });
    // The first round fills caches.
    for (let round = 0; round <= rounds; round += 1) {
      const times = [
        await timeToReady([BARE_NEST], '/bare', {}),
        await timeToReady(['--enable-source-maps', main], '/health/ready', {
          DATABASE_URL: url,
          LAPSE_ADMIN_KEY: ADMIN_KEY,
        }),
      ] as const;
      if (round > 0) {
        bare.push(times[0]);
        lapse.push(times[1]);
      }
    }
    await server.drop(DATABASE);
    report.figure('start: a bare Nest application answers after', 's', spreadOf(bare));
    report.claim('start: the service is ready after', 's', spreadOf(lapse), { atMost: 1.5 });
    report.figure('start: the service / a bare Nest application', '×', ratiosOf(lapse, bare));
  },
};

/** @returns seconds. */
async function timeToReady(program: string[], path: string, environment: Record<string, string>): Promise<number> {
  const port = await freePort();
  const begin = performance.now();
  const child = spawn(process.execPath, program, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: String(port), ...environment },
  });
  try {
    while (!(await answers(`http://127.0.0.1:${port}${path}`))) {
      if (child.exitCode !== null || performance.now() - begin > GIVES_UP_AFTER_MS) {
        throw new Error(`${program.join(' ')} isn't ready (exit code ${child.exitCode})`);
      }
      await delay(POLL_MS);
    }
    return (performance.now() - begin) / 1000;
  } finally {
    await end(child);
  }
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode === null) {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as { port: number };
  listener.close();
  await once(listener, 'close');
  return port;
}
