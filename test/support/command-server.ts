import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import 'reflect-metadata';
import '../../src/app.module.js';
import { runProgram } from '../../src/cli/program.js';
import type { Ended, Request } from './command-client.js';

/**
 * Runs commands of the built program in this process, one per request, with an environment and an output of its own each.
 * A process per command would load two thousand modules each time, which takes more than a second of a processor.
 *
 * What belongs to the process is replaced by what belongs to the command that is running: `process.env`, standard output,
 * standard error, and `process.exit`, which ends the command. Signals are not delivered: tests that send one, or need a
 * terminal, start a process.
 */
const running = new AsyncLocalStorage<Run>();

class Run implements Ended {
  code = 0;
  stdout = '';
  stderr = '';
  readonly ended: Promise<void>;
  private end: () => void = () => undefined;

  constructor(readonly env: Record<string, string>) {
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
  }

  exit(code: number): void {
    this.code = code;
    this.end();
  }
}

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;
const { exit, env } = process;

process.exit = ((code?: number) => {
  const run = running.getStore();
  if (run) {
    run.exit(code ?? Number(process.exitCode ?? 0));
  } else {
    exit(code);
  }
}) as typeof process.exit;

Object.defineProperty(process, 'env', {
  value: new Proxy(env, {
    get: (_, name) => Reflect.get(running.getStore()?.env ?? env, name),
    has: (_, name) => Reflect.has(running.getStore()?.env ?? env, name),
    ownKeys: () => Reflect.ownKeys(running.getStore()?.env ?? env),
    getOwnPropertyDescriptor: (_, name) => {
      const value = Reflect.get(running.getStore()?.env ?? env, name);
      return value === undefined ? undefined : { value, enumerable: true, configurable: true, writable: true };
    },
    deleteProperty: (_, name) => Reflect.deleteProperty(running.getStore()?.env ?? env, name),
    set: (_, name, value) => Reflect.set(running.getStore()?.env ?? env, name, value),
  }),
});

for (const name of ['stdout', 'stderr'] as const) {
  const stream = process[name];
  const write = stream.write.bind(stream);
  stream.write = ((chunk: string | Uint8Array, ...rest: never[]) => {
    const run = running.getStore();
    if (!run) {
      return write(chunk, ...rest);
    }
    run[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    const done = rest.find((argument): argument is never => typeof argument === 'function') as (() => void) | undefined;
    done?.();
    return true;
  }) as typeof stream.write;
}

async function answer({ args, environment }: Request): Promise<Ended> {
  const run = new Run(environment);
  process.exitCode = undefined;
  running.run(run, () => {
    runProgram([process.execPath, 'lapse', ...args]).then(
      () => run.exit(Number(process.exitCode ?? 0)),
      (error: Error) => {
        run.stderr += error.stack;
        run.exit(1);
      },
    );
  });
  await run.ended;
  for (const signal of SIGNALS) {
    process.removeAllListeners(signal);
  }
  process.stdout.removeAllListeners('error');
  process.stderr.removeAllListeners('error');
  const { code, stdout, stderr } = run;
  return { code, stdout, stderr };
}

/** One after the other: Nest's TypeORM module warns of a second application in one process. */
let queue: Promise<unknown> = Promise.resolve();

createServer(async (request, response) => {
  const command: Request = JSON.parse(await text(request));
  const ended = queue.then(() => answer(command));
  queue = ended;
  response.end(JSON.stringify(await ended));
}).listen(process.argv[2], () => process.send?.('listening'));

process.once('disconnect', () => exit(0));
