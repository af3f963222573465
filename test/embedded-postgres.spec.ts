import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import {
  DataDirectoryInUseError,
  PostgresStartFailedError,
} from '../src/database/embedded-postgres/embedded-postgres.errors.js';
import { EmbeddedPostgres } from '../src/database/embedded-postgres/embedded-postgres.js';

/** Durability stays on where a test kills something; everywhere else it only costs time. */
const QUICK = { fsync: 'off' };
const OWNER_PROGRAM = 'dist/test/support/own-embedded-postgres.js';

/** A stopped data directory: a copy of it is there ten times sooner than a new one. */
let template: string;
let folder: string;
let dataDirectory: string;
const servers: EmbeddedPostgres[] = [];
const processes: ChildProcess[] = [];

beforeAll(async () => {
  template = await openFolder();
  await (await EmbeddedPostgres.start({ dataDirectory: join(template, 'data'), settings: QUICK })).stop();
});
afterAll(() => rm(template, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await openFolder();
  dataDirectory = join(folder, 'data');
});

afterEach(async () => {
  for (const child of processes.splice(0)) child.kill('SIGKILL');
  await Promise.all(servers.splice(0).map((server) => server.stop()));
  await rm(folder, { recursive: true, force: true });
});

describe('an embedded PostgreSQL', () => {
  it('answers on a loopback port to those who know its password, which nobody else can read', async () => {
    const server = await start({ ...QUICK, work_mem: '7MB', listen_addresses: '*' });
    expect(server.url).toMatch(/^postgres:\/\/lapse:[\w-]{32}@127\.0\.0\.1:\d+\/lapse$/);
    const [row] = await query(
      server.url,
      'SELECT version(), getdatabaseencoding() AS encoding, lower($1) AS lower',
      'Ä',
    );
    expect(row).toEqual({ version: expect.stringMatching(/^PostgreSQL 18/), encoding: 'UTF8', lower: 'ä' });
    await expect(query(server.url.replace(/:[\w-]{32}@/, ':wrong@'), 'SELECT')).rejects.toMatchObject({
      code: '28P01',
    });
    expect(await query(server.url, "SELECT current_setting('work_mem') AS memory")).toEqual([{ memory: '7MB' }]);
    expect(await query(server.url, "SELECT current_setting('listen_addresses') AS on")).toEqual([{ on: '127.0.0.1' }]);
    expect(await modeOf('postgres-password')).toBe('600');
    expect(await modeOf('postgres.log')).toBe('600');
    expect(await modeOf('postgres')).toBe('700');
    expect(await modeOf('.')).toBe(process.getuid?.() === 0 ? '710' : '700');
  });

  it('keeps its data and its password between starts', async () => {
    const first = await start();
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();
    const second = await start();
    expect(await query(second.url, 'SELECT * FROM kept')).toEqual([{ answer: 42 }]);
    expect(new URL(second.url).password).toBe(new URL(first.url).password);
  });

  it('ends open sessions when it stops, which it does once, however often it is asked', async () => {
    copyTemplate();
    const server = await start();
    const client = await connect(server.url);
    const ended = new Promise((resolve) => client.once('end', resolve));
    await Promise.all([server.stop(), server.stop()]);
    await ended;
    await server.stop();
    await expect(query(server.url, 'SELECT')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('says in one line what PostgreSQL objects to', async () => {
    copyTemplate();
    const failure = await start({ work_mem: 'plenty' }).catch((error) => error);
    expect(failure).toBeInstanceOf(PostgresStartFailedError);
    expect(failure.message).toContain('invalid value for parameter "work_mem": "plenty"');
    expect(failure.message).not.toContain('\n');
  });

  it('says what to do where the password of a cluster is gone', async () => {
    copyTemplate();
    await rm(join(dataDirectory, 'postgres-password'));
    await expect(start()).rejects.toThrow(/postgres-password is missing: restore it, or remove/);
  });
});

describe('a second start on the same data directory', () => {
  it('is refused while the first lives, which it does not disturb', async () => {
    copyTemplate();
    const first = await start();
    const session = await connect(first.url);
    const refusal = await start().catch((error) => error);
    expect(refusal).toBeInstanceOf(DataDirectoryInUseError);
    expect(refusal.dataDirectory).toBe(first.dataDirectory);
    expect((await session.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await session.end();
  });

  it('wins or is refused, but never shares, when it comes at the same moment on a fresh directory', async () => {
    await expectOneWinner(3);
  });

  it('wins or is refused, but never shares, when it comes at the same moment on a stopped directory', async () => {
    copyTemplate();
    await expectOneWinner(3);
  });
});

describe('after a crash', () => {
  it('ends the server that its killed owner left behind, and finds the data', async () => {
    copyTemplate();
    const owner = await startInOtherProcess();
    await query(owner.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const orphan = await postmasterPid();
    owner.child.kill('SIGKILL');
    await once(owner.child, 'exit');
    const server = await start();
    expect(await query(server.url, 'SELECT * FROM kept')).toEqual([{ answer: 42 }]);
    expect(await postmasterPid()).not.toBe(orphan);
    await expect(query(owner.url, 'SELECT')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('recovers where the server was killed together with its owner', async () => {
    copyTemplate();
    const owner = await startInOtherProcess();
    await query(owner.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    owner.child.kill('SIGKILL');
    process.kill(await postmasterPid(), 'SIGKILL');
    const server = await start();
    expect(await query(server.url, 'SELECT * FROM kept')).toEqual([{ answer: 42 }]);
  });

  it('is not kept from starting by another program that has got the pid of the killed server', async () => {
    copyTemplate();
    const owner = await startInOtherProcess();
    owner.child.kill('SIGKILL');
    const pid = await postmasterPid();
    process.kill(pid, 'SIGKILL');
    const file = join(dataDirectory, 'postgres', 'postmaster.pid');
    const bystander = await spawnAsOwnerOf(file, 'sleep', ['60']);
    await writeFile(file, (await readFile(file, 'utf8')).replace(String(pid), String(bystander.pid)));
    const server = await start();
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(bystander.exitCode).toBeNull();
  });

  it('begins anew where the cluster was still in the making, and clears that away later', async () => {
    const remainder = join(dataDirectory, 'postgres.new-crash');
    await mkdir(join(remainder, 'cluster'), { recursive: true });
    const anHourAgo = new Date(Date.now() - 3_600_000);
    await utimes(remainder, anHourAgo, anHourAgo);
    const server = await start();
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await expect(stat(remainder)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('does not leave the server behind when its process exits without stopping it', async () => {
    copyTemplate();
    const owner = await startInOtherProcess();
    const pid = await postmasterPid();
    owner.child.stdin?.end();
    await once(owner.child, 'exit');
    await eventually(() => expect(() => process.kill(pid, 0)).toThrow());
  });
});

describe('as root', () => {
  it('runs as another user, also below a folder that only root may enter', async () => {
    const reason = whyNotBelowAClosedFolder();
    if (reason) return void process.stdout.write(`skipped: ${reason}\n`);
    const closed = await mkdtemp(join(homedir(), 'lapse-embedded-'));
    try {
      expect(((await stat(closed)).mode & 0o777).toString(8)).toBe('700');
      const server = await start(QUICK, join(closed, 'data'));
      expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      expect((await stat(join(closed, 'data', 'postgres'))).uid).not.toBe(0);
      await server.stop();
    } finally {
      await rm(closed, { recursive: true, force: true });
    }
  });
});

/** One that the server's account may enter. */
async function openFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'lapse-embedded-'));
  await chmod(path, 0o755);
  return path;
}

/** The data directory of the test becomes one that has been used and stopped; owners and modes are the same. */
function copyTemplate(): void {
  execFileSync('cp', ['-Rp', join(template, 'data'), dataDirectory]);
}

async function start(settings: Record<string, string> = QUICK, directory = dataDirectory): Promise<EmbeddedPostgres> {
  const server = await EmbeddedPostgres.start({ dataDirectory: directory, settings });
  servers.push(server);
  return server;
}

/** In a process of its own, which exits, without stopping its server, once its standard input ends. */
async function startInOtherProcess(): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, ['--enable-source-maps', OWNER_PROGRAM, dataDirectory], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  processes.push(child);
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return { child, url: line };
}

async function expectOneWinner(contenders: number): Promise<void> {
  const results = await Promise.allSettled(Array.from({ length: contenders }, () => start()));
  const refusals = results.filter((result) => result.status === 'rejected').map(({ reason }) => reason);
  expect(refusals).toHaveLength(contenders - 1);
  for (const refusal of refusals) expect(refusal).toBeInstanceOf(DataDirectoryInUseError);
  expect(await query((servers.at(-1) as EmbeddedPostgres).url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function query(url: string, sql: string, ...parameters: unknown[]): Promise<unknown[]> {
  const client = await connect(url);
  try {
    return (await client.query(sql, parameters)).rows;
  } finally {
    await client.end();
  }
}

async function modeOf(name: string): Promise<string> {
  return ((await stat(join(dataDirectory, name))).mode & 0o777).toString(8);
}

async function postmasterPid(): Promise<number> {
  return Number.parseInt(await readFile(join(dataDirectory, 'postgres', 'postmaster.pid'), 'utf8'), 10);
}

async function eventually(check: () => void): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      return check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Of the file's owner, because PostgreSQL ignores a pid that belongs to anybody else. */
async function spawnAsOwnerOf(file: string, program: string, args: string[]): Promise<ChildProcess> {
  const { uid, gid } = await stat(file);
  const child = spawn(program, args, process.getuid?.() === 0 ? { uid, gid } : {});
  processes.push(child);
  await once(child, 'spawn');
  return child;
}

function whyNotBelowAClosedFolder(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can enter a folder that PostgreSQL can not';
  try {
    execFileSync('setpriv', ['--inh-caps=+dac_override', '--ambient-caps=+dac_override', 'true']);
    return undefined;
  } catch (error) {
    return `setpriv can't lift it: ${error}`;
  }
}
