import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EmbeddedPostgres } from '../src/database/embedded-postgres/embedded-postgres.js';
import { eventually } from './support/eventually.js';

let folder: string;
let template: string;
const started: Started[] = [];

/** A copy of a data directory is there ten times sooner than a new one. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapse-npm-'));
  template = join(folder, 'template');
  await (await EmbeddedPostgres.start({ dataDirectory: template, settings: { fsync: 'off' } })).stop();
}, 60_000);
afterAll(async () => {
  await Promise.all(started.map((each) => each.cleanUp()));
  await rm(folder, { recursive: true, force: true });
});

/** The service with a PostgreSQL of its own, started by another program, which may be a package manager. */
class Started {
  output = '';
  /** Once nobody has its output open any more: the launcher, its shell and the service have ended. */
  readonly allEnded: Promise<unknown[]>;

  private constructor(
    readonly launcher: ChildProcess,
    readonly dataDirectory: string,
  ) {
    this.allEnded = once(launcher, 'close');
    for (const stream of [launcher.stdout, launcher.stderr]) {
      stream?.on('data', (chunk) => {
        this.output += chunk;
      });
    }
    started.push(this);
  }

  static async by(program: string, args: readonly string[], cwd = '.'): Promise<Started> {
    const dataDirectory = await mkdtemp(join(folder, 'data-'));
    await cp(template, dataDirectory, { recursive: true, preserveTimestamps: true });
    const environment = { LAPSE_DATA_DIR: dataDirectory, LAPSE_DEMO: 'false', LAPSE_SWEEP_CRON: 'off', PORT: '0' };
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, npm_config_update_notifier: 'false', ...environment };
    return new Started(spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] }), dataDirectory);
  }

  /** Returns the URL once the service is up. */
  async isUp(): Promise<string> {
    await eventually(
      async () => this.output,
      (output) => output.includes('Lapse is running'),
      30_000,
    );
    return (/http:\/\/[^/\s]+/.exec(this.output) as RegExpExecArray)[0];
  }

  /** The process id of its PostgreSQL, while that runs. */
  async postmaster(): Promise<number> {
    return Number.parseInt(await readFile(join(this.dataDirectory, 'postgres/postmaster.pid'), 'utf8'), 10);
  }

  /** The parent of its PostgreSQL is the service. */
  async service(): Promise<number> {
    const stats = await readFile(`/proc/${await this.postmaster()}/stat`, 'utf8');
    return Number(stats.slice(stats.lastIndexOf(')') + 2).split(' ')[1]);
  }

  async cleanUp(): Promise<void> {
    this.launcher.kill('SIGKILL');
    const left = await Promise.all([this.service(), this.postmaster()]).catch(() => []);
    for (const [index, pid] of left.entries()) {
      process.kill(pid, index === 0 ? 'SIGKILL' : 'SIGQUIT');
    }
  }
}

const NPM = ['start', '--ignore-scripts'];

test.each(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGKILL'] as const)(
  'however "npm start" ends, here by %s, the service and its PostgreSQL end with it, in order',
  async (signal) => {
    const npm = await Started.by('npm', NPM);
    const url = await npm.isUp();

    npm.launcher.kill(signal);
    await npm.allEnded;

    await expect(fetch(`${url}/health/live`)).rejects.toThrow('fetch failed');
    // PostgreSQL removes the file at the end of an orderly shutdown.
    await expect(stat(join(npm.dataDirectory, 'postgres/postmaster.pid'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(npm.output).toMatch(/(SIGTERM|SIGINT|The package manager that ran the service has ended): stopping/);
  },
  60_000,
);

test('a shell between npm and the service changes nothing, but a service in the background outlives its shell', async () => {
  const project = await mkdtemp(join(folder, 'project-'));
  const script = `"${process.execPath}" "${resolve('dist/cli.js')}" serve; exit $?`;
  await writeFile(join(project, 'package.json'), JSON.stringify({ scripts: { start: script } }));
  const [npm, shell] = await Promise.all([
    Started.by('npm', NPM, project),
    Started.by('sh', ['-c', `"${process.execPath}" dist/main.js & wait`]),
  ]);
  const [url] = await Promise.all([shell.isUp(), npm.isUp()]);
  const service = await shell.service();

  // First the shell: once the other service has noticed that npm has ended, this one would have noticed, too.
  const exited = once(shell.launcher, 'exit');
  shell.launcher.kill('SIGKILL');
  await exited;
  npm.launcher.kill('SIGTERM');
  await npm.allEnded;
  await expect(npm.postmaster()).rejects.toMatchObject({ code: 'ENOENT' });
  expect((await fetch(`${url}/health/live`)).status).toBe(200);

  // As if its terminal were closed.
  process.kill(service, 'SIGHUP');
  await shell.allEnded;
  await expect(shell.postmaster()).rejects.toMatchObject({ code: 'ENOENT' });
  expect(shell.output).toContain('SIGHUP: stopping');
}, 60_000);
