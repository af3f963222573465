import { type ChildProcess, execFile, type StdioOptions, spawn } from 'node:child_process';
import { chown, lchown, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { FolderNotEnterableError, ServerUserMissingError } from './embedded-postgres.errors.js';

interface Ids {
  readonly uid: number;
  readonly gid: number;
}

const USER = 'postgres';

/** Where useradd(8) of most distributions and adduser(8) of busybox live; the first that succeeds is enough. */
const WAYS_TO_CREATE_USER: readonly (readonly [string, ...string[]])[] = [
  ['/usr/sbin/useradd', '--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', USER],
  // A group of that name may be left over from a user who was deleted.
  ['/usr/sbin/useradd', '--system', '--gid', USER, '--no-create-home', '--shell', '/usr/sbin/nologin', USER],
  ['/usr/sbin/adduser', '-S', '-D', '-H', '-s', '/sbin/nologin', USER],
  ['/bin/adduser', '-S', '-D', '-H', '-s', '/sbin/nologin', USER],
];

/**
 * The capability lets PostgreSQL pass closed folders without being root. `no_setuid_fixup` makes access(2) honour it
 * too, by which PostgreSQL checks its own programs. The emptied bounding set keeps it from gaining anything else.
 */
const ONLY_PASS_FOLDERS = [
  '--clear-groups',
  '--inh-caps=-all,+dac_override',
  '--ambient-caps=-all,+dac_override',
  '--bounding-set=-all,+dac_override',
  '--securebits=+no_setuid_fixup',
];

/** Explicit and minimal: PG* variables of ours must not steer the server, and its messages shall be English. */
const ENVIRONMENT = { LC_ALL: 'C', TZ: 'UTC' };

/** The account PostgreSQL runs under: our own, or, because PostgreSQL refuses root, a system user when we are root. */
export class ServerAccount {
  private setpriv: string | undefined;

  private constructor(private readonly ids: Ids | undefined) {}

  /**
   * A cluster that exists keeps its owner, so that neither one run under sudo nor a new image with other user ids locks
   * anybody out.
   *
   * @throws ServerUserMissingError
   */
  static async toRun(pgData: string): Promise<ServerAccount> {
    if (process.getuid?.() !== 0) return new ServerAccount(undefined);
    const owner = await stat(pgData).catch(() => undefined);
    if (owner && owner.uid !== 0) return new ServerAccount({ uid: owner.uid, gid: owner.gid });
    return new ServerAccount((await idsOf(USER)) ?? (await createUser()));
  }

  /** Undefined where the account is our own. */
  get gid(): number | undefined {
    return this.ids?.gid;
  }

  /**
   * Makes sure that programs of this account reach the folders given, which are absolute and free of symbolic links.
   *
   * @throws FolderNotEnterableError
   */
  async reach(folders: readonly string[]): Promise<void> {
    if (!this.ids) return;
    const closed = await firstClosed(folders, this.ids);
    if (closed) this.setpriv = await findSetpriv(closed, this.ids);
  }

  /** Gives a path, and all below it, to this account. */
  async takeOver(path: string): Promise<void> {
    if (!this.ids) return;
    const { uid, gid } = this.ids;
    await chown(path, uid, gid);
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const below = join(path, entry.name);
      await (entry.isDirectory() ? this.takeOver(below) : lchown(below, uid, gid));
    }
  }

  /** The child has a process group of its own where `detached`, so that a Ctrl-C in the terminal doesn't reach it. */
  spawn(program: string, args: readonly string[], options: { stdio: StdioOptions; detached: boolean }): ChildProcess {
    const how = { ...options, cwd: dirname(program), env: ENVIRONMENT };
    if (!this.ids) return spawn(program, args, how);
    if (!this.setpriv) return spawn(program, args, { ...how, ...this.ids });
    return spawn(this.setpriv, [...becoming(this.ids), program, ...args], how);
  }
}

async function idsOf(user: string): Promise<Ids | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('/usr/bin/id', ['-u', user]), run('/usr/bin/id', ['-g', user])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined;
  }
}

async function createUser(): Promise<Ids> {
  let lastFailure = 'neither useradd nor adduser exists';
  for (const [program, ...args] of WAYS_TO_CREATE_USER) {
    try {
      await run(program, args);
    } catch (error) {
      lastFailure = reasonOf(error) ?? lastFailure;
    }
    // Looked up after a failure too: another start may have created it meanwhile.
    const ids = await idsOf(USER);
    if (ids) return ids;
  }
  throw new ServerUserMissingError(USER, lastFailure);
}

async function firstClosed(folders: readonly string[], { uid, gid }: Ids): Promise<string | undefined> {
  for (const folder of new Set(folders.flatMap(fromRootTo))) {
    const { mode, ...owner } = await stat(folder);
    const mayEnter = owner.uid === uid ? 0o100 : owner.gid === gid ? 0o010 : 0o001;
    if ((mode & mayEnter) === 0) return folder;
  }
  return undefined;
}

function fromRootTo(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [...fromRootTo(parent), folder];
}

/** Tried rather than looked up: busybox has a setpriv that lacks the options, a container may lack the capability. */
async function findSetpriv(closedFolder: string, ids: Ids): Promise<string> {
  let lastFailure = 'it is not installed';
  for (const setpriv of ['/usr/bin/setpriv', '/bin/setpriv']) {
    try {
      await run(setpriv, [...becoming(ids), '/usr/bin/test', '-x', closedFolder]);
      return setpriv;
    } catch (error) {
      lastFailure = reasonOf(error) ?? lastFailure;
    }
  }
  throw new FolderNotEnterableError(closedFolder, ids.uid, lastFailure);
}

function becoming({ uid, gid }: Ids): string[] {
  return [`--reuid=${uid}`, `--regid=${gid}`, ...ONLY_PASS_FOLDERS];
}

function run(program: string, args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(program, args, { env: ENVIRONMENT });
}

/** One line of what a program complained about; undefined where the program isn't there. */
function reasonOf(error: unknown): string | undefined {
  const { code, path, stderr } = error as NodeJS.ErrnoException & { stderr?: string };
  if (code === 'ENOENT') return undefined;
  return stderr?.trim().split('\n').at(-1) || `${path ?? 'it'} ended with ${code}`;
}
