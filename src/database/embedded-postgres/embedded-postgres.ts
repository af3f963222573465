import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { ServerAccount } from './account.js';
import { findPostgresBinaries } from './binaries.js';
import { DataDirectory, isClusterBeingCreated, isInitialised, pgDataIn, ROLE } from './directory.js';
import {
  DataDirectoryInUseError,
  EmbeddedPostgresMissingError,
  FolderNotEnterableError,
  PostgresBinariesMissingError,
  PostgresStartFailedError,
  PostgresStopTimeoutError,
  ServerUserMissingError,
} from './embedded-postgres.errors.js';
import { claimOwnership, ensureDatabase, isOwnedAndReady, type OwnerConnection, release } from './owner.js';
import { findPostmaster, holdsWithin, isPostmaster, type Postmaster, SHUTDOWN, shutDown } from './postmaster.js';
import { createCluster, type Installation, ServerProcess } from './server.js';

const DATABASE = 'lapse';

/** Milliseconds; long, because recovery from a crash replays up to a gigabyte of WAL. */
const PATIENCE = 120_000;

/** SQLSTATE too_many_connections: an orphan has none, so whoever fills them lives. */
const TOO_MANY_CONNECTIONS = '53300';

/** SQLSTATE class invalid_authorization: the server doesn't accept our password. */
const INVALID_AUTHORIZATION = '28';

const OWN_ERRORS = [
  DataDirectoryInUseError,
  EmbeddedPostgresMissingError,
  FolderNotEnterableError,
  PostgresBinariesMissingError,
  PostgresStartFailedError,
  PostgresStopTimeoutError,
  ServerUserMissingError,
];

/**
 * A real PostgreSQL of our own under a data directory, for a Lapse that was given no `DATABASE_URL`, and for the tests.
 *
 * One live process owns a data directory, by a lock in the server that runs there. A server without an owner is the
 * orphan of a crash: the next start ends it and begins afresh. Of simultaneous starts, whoever gets the lock first wins,
 * also on a server that another one has just started.
 */
export class EmbeddedPostgres {
  private stopped: Promise<void> | undefined;
  private readonly interruptOnExit = () => this.server.interrupt();

  private constructor(
    /** postgres://lapse:<password>@127.0.0.1:<port>/lapse */
    readonly url: string,
    /** Absolute path. */
    readonly dataDirectory: string,
    private readonly server: ServerProcess,
    private readonly owner: OwnerConnection,
  ) {
    process.once('exit', this.interruptOnExit);
    // Like the server itself, the claim must not keep a process alive that is otherwise done.
    owner.unref();
  }

  /**
   * Creates the cluster if the directory is new, starts a server on a free loopback port, and creates the database.
   *
   * @param options.mustExist creates no cluster: for commands, which are of no use on an empty database
   * @param options.settings of postgresql.conf, over our defaults
   * @throws DataDirectoryInUseError where another live process has it
   * @throws EmbeddedPostgresMissingError if there is no cluster and there must be one
   * @throws PostgresBinariesMissingError, ServerUserMissingError, FolderNotEnterableError, PostgresStartFailedError
   */
  static async start(options: {
    dataDirectory: string;
    settings?: Record<string, string>;
    mustExist?: boolean;
  }): Promise<EmbeddedPostgres> {
    const { dataDirectory } = options;
    try {
      if (options.mustExist && !(await isInitialised(dataDirectory))) {
        throw new EmbeddedPostgresMissingError(dataDirectory, await isClusterBeingCreated(dataDirectory));
      }
      const installation = await install(dataDirectory, options.settings ?? {});
      const password = await installation.directory.password();
      const { server, owner } = await startAsOwner(installation, password);
      try {
        await installation.directory.removeRemainders();
        await ensureDatabase(owner, DATABASE);
      } catch (error) {
        await server.stop();
        throw error;
      }
      return new EmbeddedPostgres(urlOf(server.port, password), installation.directory.path, server, owner);
    } catch (error) {
      throw asStartFailure(error, dataDirectory);
    }
  }

  /**
   * The URL of the server that another live process owns on the directory; undefined where there is none, or where it is
   * just starting or stopping. Creates and ends nothing.
   *
   * @throws PostgresStartFailedError where the password of the cluster can't be read
   */
  static async findRunning(dataDirectory: string): Promise<string | undefined> {
    try {
      const server = await findPostmaster(pgDataIn(dataDirectory));
      if (!server?.ready) return undefined;
      const account = await ServerAccount.toRun(pgDataIn(dataDirectory));
      const password = await (await DataDirectory.open(dataDirectory, account)).password();
      const usable = await isOwnedAndReady({ port: server.port, password }, DATABASE).catch(() => false);
      return usable ? urlOf(server.port, password) : undefined;
    } catch (error) {
      throw asStartFailure(error, dataDirectory);
    }
  }

  /**
   * Shuts the server down, fast but in order; sessions still open are ended. Within 10 s, or else at once with recovery
   * left to the next start. May be called again.
   *
   * @throws PostgresStopTimeoutError
   */
  stop(): Promise<void> {
    this.stopped ??= this.stopOnce();
    return this.stopped;
  }

  private async stopOnce(): Promise<void> {
    // The claim goes last, with the server: freed earlier, a start just now would take our server for an orphan.
    await this.server.stop();
    process.off('exit', this.interruptOnExit);
    await release(this.owner);
  }
}

function urlOf(port: number, password: string): string {
  return `postgres://${ROLE}:${password}@127.0.0.1:${port}/${DATABASE}`;
}

/** All that has to be there before a server can start. */
async function install(dataDirectory: string, settings: Record<string, string>): Promise<Installation> {
  const binaries = await findPostgresBinaries();
  const account = await ServerAccount.toRun(pgDataIn(dataDirectory));
  const directory = await DataDirectory.open(dataDirectory, account);
  const programs = dirname(binaries.postgres);
  await account.reach([programs, join(programs, '../lib'), join(programs, '../share'), directory.path]);
  await directory.initialise((cluster) => createCluster({ binaries, account }, cluster));
  return { binaries, account, directory, settings };
}

async function startAsOwner(
  installation: Installation,
  password: string,
): Promise<{ server: ServerProcess; owner: OwnerConnection }> {
  const { pgData, path } = installation.directory;
  const deadline = Date.now() + PATIENCE;
  while (Date.now() < deadline) {
    const other = await findPostmaster(pgData);
    if (other) {
      await endIfOrphaned(other, installation.directory, password);
    } else {
      const launch = await ServerProcess.launch(installation, PATIENCE);
      if (launch.outcome === 'failed') throw new PostgresStartFailedError(path, launch.detail);
      if (launch.outcome === 'interrupted') throw new DataDirectoryInUseError(path);
      if (launch.outcome === 'running')
        return { server: launch.server, owner: await own(launch.server, installation.directory, password) };
    }
    await wait(50);
  }
  throw new PostgresStartFailedError(
    path,
    `another PostgreSQL on it neither answers nor ends (${pgData}/postmaster.pid)`,
  );
}

/** Of simultaneous starts another one may claim the server that we started: it will end it and start its own. */
async function own(server: ServerProcess, { path }: DataDirectory, password: string): Promise<OwnerConnection> {
  try {
    const owner = await claimOwnership({ port: server.port, password });
    if (owner) return owner;
  } catch (cause) {
    if (!refusesPassword(cause) && (await holdsWithin(SHUTDOWN, () => server.hasEnded))) {
      throw new DataDirectoryInUseError(path, { cause });
    }
    await server.stop();
    throw cause;
  }
  throw new DataDirectoryInUseError(path);
}

/**
 * Ends the server where nobody owns it. One that can't be asked, because it is just starting or stopping, is left alone.
 *
 * @throws DataDirectoryInUseError
 */
async function endIfOrphaned(server: Postmaster, { path, pgData }: DataDirectory, password: string): Promise<void> {
  if (!server.ready) return;
  const owner = await claimOwnership({ port: server.port, password }).catch((cause) => {
    if (cause.code === TOO_MANY_CONNECTIONS) throw new DataDirectoryInUseError(path, { cause });
    if (refusesPassword(cause)) throw cause;
    return 'unreachable' as const;
  });
  if (owner === 'unreachable') return;
  if (!owner) throw new DataDirectoryInUseError(path);
  await shutDown(server.pid, async () => !(await isPostmaster(server.pid, pgData)));
  await release(owner);
}

function refusesPassword(error: unknown): boolean {
  return String((error as { code?: unknown }).code).startsWith(INVALID_AUTHORIZATION);
}

/** What the system, initdb or the server complained about becomes one line that names the directory. */
function asStartFailure(error: unknown, dataDirectory: string): unknown {
  if (OWN_ERRORS.some((type) => error instanceof type)) return error;
  const { message } = error as Error;
  return new PostgresStartFailedError(dataDirectory, `${message}${hintOn(error as NodeJS.ErrnoException)}`, {
    cause: error,
  });
}

function hintOn({ code, syscall }: NodeJS.ErrnoException): string {
  // The program is there; what the system misses is the loader that the program names.
  if (code === 'ENOENT' && syscall?.startsWith('spawn')) return ' (it needs glibc, which Alpine has not)';
  if (code === 'EACCES') return ' (run as its owner, or name another directory in LAPSE_DATA_DIR)';
  return '';
}
