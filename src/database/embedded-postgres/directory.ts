import { randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { ServerAccount } from './account.js';
import { PostgresStartFailedError } from './embedded-postgres.errors.js';

/** The superuser of the cluster. */
export const ROLE = 'lapse';

/** Creating a cluster takes seconds, on a loaded machine half a minute; what is older (ms) is the rest of a crash. */
const ABANDONED = 10 * 60_000;

/**
 * What lies where in a data directory:
 *
 *     postgres            the cluster
 *     postgres-password   of its superuser; only our own user may read it
 *     postgres.log        what the server said since its last start
 *     postgres.new-*      a cluster in the making, or the remains of a crash while one was made
 */
export class DataDirectory {
  readonly pgData: string;
  readonly log: string;
  private readonly passwordFile: string;

  private constructor(
    /** Absolute and free of symbolic links: it names the directory to other processes. */
    readonly path: string,
    private readonly account: ServerAccount,
  ) {
    this.pgData = pgDataIn(path);
    this.log = join(path, 'postgres.log');
    this.passwordFile = join(path, 'postgres-password');
  }

  /** Creates the directory where it is missing, closed to everybody but us and the account. */
  static async open(path: string, account: ServerAccount): Promise<DataDirectory> {
    await mkdir(dirname(resolve(path)), { recursive: true });
    if (await createFolder(path)) await admitGroup(path, account.gid);
    return new DataDirectory(await realpath(path), account);
  }

  /**
   * The superuser's password: generated for a new cluster, else the one stored.
   *
   * @throws PostgresStartFailedError where a cluster exists whose password is gone
   */
  async password(): Promise<string> {
    const initialised = await isInitialised(this.path);
    if (!initialised) await this.storeNewPassword();
    try {
      return (await readFile(this.passwordFile, 'utf8')).trim();
    } catch (cause) {
      if (!hasCode(cause, 'ENOENT')) throw cause;
      throw new PostgresStartFailedError(
        this.path,
        `${this.passwordFile} is missing: restore it, or remove ${this.pgData} to begin with an empty database.`,
        { cause },
      );
    }
  }

  /** Has `create` fill a temporary folder and renames that into place, so that a crash never leaves half a cluster. */
  async initialise(create: (cluster: { pgData: string; passwordFile: string }) => Promise<void>): Promise<void> {
    if (await isInitialised(this.path)) return this.adopt();
    const password = await this.password();
    const staging = await mkdtemp(`${this.pgData}.new-`);
    const pgData = join(staging, 'cluster');
    const passwordFile = join(staging, 'password');
    try {
      await mkdir(pgData, { mode: 0o700 });
      await writeFile(passwordFile, password, { mode: 0o600 });
      await this.account.takeOver(staging);
      await create({ pgData, passwordFile });
      await rename(pgData, this.pgData);
    } catch (error) {
      // Another start on this directory was quicker.
      if (!(await isInitialised(this.path))) throw error;
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  }

  /** Spares young ones: a simultaneous start may still be working on its own, not knowing yet that it has lost. */
  async removeRemainders(): Promise<void> {
    const prefix = `${basename(this.pgData)}.new-`;
    for (const name of await readdir(this.path)) {
      const path = join(this.path, name);
      if (name.startsWith(prefix) && (await ageOf(path)) > ABANDONED) await rm(path, { recursive: true, force: true });
    }
  }

  /** A copy that root made of a data directory belongs to root, which PostgreSQL doesn't accept. */
  private async adopt(): Promise<void> {
    if ((await stat(this.pgData)).uid === 0) await this.account.takeOver(this.pgData);
  }

  /** By a hard link, which appears complete or not at all and never replaces the password of a simultaneous start. */
  private async storeNewPassword(): Promise<void> {
    const staging = await mkdtemp(`${this.pgData}.new-`);
    try {
      const draft = join(staging, 'password');
      await writeFile(draft, randomBytes(24).toString('base64url'), { mode: 0o600 });
      await link(draft, this.passwordFile);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  }
}

/** Whether there is a complete cluster in the data directory. */
export async function isInitialised(dataDirectory: string): Promise<boolean> {
  return (await stat(join(pgDataIn(dataDirectory), 'PG_VERSION')).catch(() => undefined)) !== undefined;
}

/** Whether somebody seems to be creating a cluster in the data directory: what they make it in is there, and young. */
export async function isClusterBeingCreated(dataDirectory: string): Promise<boolean> {
  const prefix = `${basename(pgDataIn(dataDirectory))}.new-`;
  const names = (await readdir(dataDirectory).catch(() => [])).filter((name) => name.startsWith(prefix));
  const ages = await Promise.all(names.map((name) => ageOf(join(dataDirectory, name))));
  return ages.some((age) => age < ABANDONED);
}

export function pgDataIn(dataDirectory: string): string {
  return join(resolve(dataDirectory), 'postgres');
}

/** False if it exists already. @throws PostgresStartFailedError if it is a file */
async function createFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    if (!(await stat(path)).isDirectory()) throw new PostgresStartFailedError(path, 'it is a file, not a folder');
    return false;
  }
}

/** Lets PostgreSQL pass a folder of root's on the way to its cluster, and nobody else. */
async function admitGroup(folder: string, gid: number | undefined): Promise<void> {
  if (gid === undefined) return;
  await chown(folder, 0, gid);
  await chmod(folder, 0o710);
}

/** In milliseconds; 0 for what is gone. */
async function ageOf(path: string): Promise<number> {
  const entry = await stat(path).catch(() => undefined);
  return entry ? Date.now() - entry.mtimeMs : 0;
}

function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code;
}
