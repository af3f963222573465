import { execFile } from 'node:child_process';
import { readFile, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { PostgresStopTimeoutError } from './embedded-postgres.errors.js';

/** A PostgreSQL server process that lives. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** Whether it accepts connections; else it is starting or stopping. */
  readonly ready: boolean;
}

/** No process has it: the greatest pid_t, far above what Linux (2^22) or macOS gives out. */
const NOBODYS_PID = 2_147_483_647;

/** PostgreSQL fills its file within an instant of creating it; one empty for this long (ms) is what a power cut left. */
const UNFINISHED = 5_000;

/** How long a fast, and then an immediate shutdown may take, in milliseconds. */
export const SHUTDOWN = 10_000;

/** The server that runs on a cluster, by its postmaster.pid, whoever started it. */
export async function findPostmaster(pgData: string): Promise<Postmaster | undefined> {
  const file = join(pgData, 'postmaster.pid');
  const lines = (await readFile(file, 'utf8').catch(() => undefined))?.split('\n');
  if (!lines) return undefined;
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) {
    await removeUnfinished(file);
    return undefined;
  }
  if (await isPostmaster(pid, pgData)) return { pid, port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' };
  if (exists(pid)) await disown(file, lines);
  return undefined;
}

/**
 * Fast shutdown first, which ends sessions and writes a checkpoint, then an immediate one, after which the next start
 * recovers. On Windows, which knows no signals, the process just ends, and the next start recovers too.
 *
 * @throws PostgresStopTimeoutError
 */
export async function shutDown(pid: number, hasEnded: () => boolean | Promise<boolean>): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    send(signal, pid);
    if (await holdsWithin(SHUTDOWN, hasEnded)) return;
  }
  throw new PostgresStopTimeoutError(pid);
}

/** A process that ended meanwhile is no failure. */
export function send(signal: NodeJS.Signals, pid: number): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether the process is a PostgreSQL server on that cluster; when in doubt it is, for two servers would destroy it. */
export async function isPostmaster(pid: number, pgData: string): Promise<boolean> {
  if (!exists(pid)) return false;
  const command = await commandLine(pid);
  if (command === undefined) return exists(pid);
  const itsCluster = / -D (.+?) -c /.exec(command)?.[1];
  if (!command.includes('postgres') || itsCluster === undefined) return false;
  return isSameFolder(itsCluster, pgData);
}

/** Whether the condition becomes true before `milliseconds` are over. */
export async function holdsWithin(milliseconds: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const deadline = Date.now() + milliseconds;
  while (!(await condition())) {
    if (Date.now() >= deadline) return false;
    await wait(20);
  }
  return true;
}

/** A process of another user exists too, though we may not signal it. */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Undefined where the system doesn't tell. Empty for a zombie: nobody may have reaped an orphan in a container. */
async function commandLine(pid: number): Promise<string | undefined> {
  try {
    if (process.platform === 'linux') return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
    return (await promisify(execFile)('/bin/ps', ['-ww', '-o', 'args=', '-p', String(pid)])).stdout;
  } catch {
    return undefined;
  }
}

/** By inode, since one folder may have several names: bind mounts, or letter case on macOS. */
async function isSameFolder(one: string, other: string): Promise<boolean> {
  try {
    const [a, b] = await Promise.all([stat(one), stat(other)]);
    return a.dev === b.dev && a.ino === b.ino;
  } catch {
    return true;
  }
}

/**
 * After a crash the pid may have gone to another program (certain in a container, where pids start anew), and PostgreSQL
 * would refuse to start for as long as that lives. The file is not removed, because PostgreSQL finds in it the shared
 * memory by which it notices backends of the crashed server that still run.
 */
async function disown(file: string, lines: readonly string[]): Promise<void> {
  // Opened without creating it: a simultaneous start may have removed it just now.
  await writeFile(file, [NOBODYS_PID, ...lines.slice(1)].join('\n'), { flag: 'r+' }).catch((error) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

async function removeUnfinished(file: string): Promise<void> {
  const age = Date.now() - ((await stat(file).catch(() => undefined))?.mtimeMs ?? Date.now());
  if (age > UNFINISHED) await unlink(file);
}
