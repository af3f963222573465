import { accessSync, constants } from 'node:fs';
import { userInfo } from 'node:os';

export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
export type TlsVersion = (typeof TLS_VERSIONS)[number];

/** What libpq checks or demands and the driver can't: ignoring them would weaken what the URL asks for. */
const UNSUPPORTED = ['sslcrldir', 'requirepeer', 'require_auth'];

const FILES = ['sslrootcert', 'sslcert', 'sslkey', 'sslcrl'] as const;

/** The value of `sslrootcert` that means the certificate authorities that Node.js trusts, and no file. */
const SYSTEM = 'system';

/** How a connection is encrypted, and what is checked. Files are named by path: they are read for each connection. */
export interface TlsSettings {
  mode: SslMode;
  /** Undefined if the certificate authorities that Node.js trusts are meant. */
  rootCertFile: string | undefined;
  certFile: string | undefined;
  keyFile: string | undefined;
  keyPassphrase: string | undefined;
  crlFile: string | undefined;
  minVersion: TlsVersion | undefined;
  maxVersion: TlsVersion | undefined;
  /** TLS from the first byte, without asking the server first. */
  direct: boolean;
}

/** Where a database is and as whom to connect: all of what its URL says, so that nothing else has to be consulted. */
export interface DatabaseAddress {
  /** A name, an address, or the folder of a Unix socket. */
  host: string;
  port: number;
  user: string | undefined;
  password: string | undefined;
  database: string | undefined;
  /** Command-line options for the server, such as `-c search_path=app`. */
  options: string | undefined;
  applicationName: string | undefined;
  requiresChannelBinding: boolean;
  tls: TlsSettings;
}

/** Reads a URL that `databaseUrlFaults` accepts. */
export function parseDatabaseUrl(text: string): DatabaseAddress {
  const url = new URL(text);
  const parameter = (name: string) => url.searchParams.get(name) || undefined;
  const host = parameter('host') ?? (decoded(url.hostname).replace(/^\[(.+)\]$/, '$1') || 'localhost');
  const user = decoded(url.username) || parameter('user') || currentUser();
  return {
    host,
    port: Number(url.port || parameter('port') || 5432),
    user,
    password: decoded(url.password) || parameter('password'),
    database: decoded(url.pathname.slice(1)) || parameter('dbname') || user,
    options: parameter('options'),
    applicationName: parameter('application_name'),
    requiresChannelBinding: parameter('channel_binding') === 'require',
    tls: tlsSettings(parameter, host.startsWith('/')),
  };
}

/** What is wrong with a URL, each as what completes the sentence "DATABASE_URL …". Says nothing of the password. */
export function databaseUrlFaults(text: string): string[] {
  if (!URL.canParse(text) || !['postgres:', 'postgresql:'].includes(new URL(text).protocol)) {
    return ['must be a URL such as postgres://user:password@host:5432/database'];
  }
  const { searchParams } = new URL(text);
  const given = (name: string) => searchParams.get(name) || undefined;
  const oneOf = (name: string, allowed: readonly string[]) =>
    given(name) === undefined || allowed.includes(given(name) as string)
      ? []
      : [`has ${name}=${given(name)}; allowed are ${allowed.join(', ')}`];
  return [
    ...oneOf('sslmode', SSL_MODES),
    ...oneOf('sslnegotiation', ['postgres', 'direct']),
    ...oneOf('ssl_min_protocol_version', TLS_VERSIONS),
    ...oneOf('ssl_max_protocol_version', TLS_VERSIONS),
    ...UNSUPPORTED.filter(given).map((name) => `has ${name}, which Lapse does not support`),
    ...contradictions(given),
    ...FILES.flatMap((name) => fileFaults(name, given(name))),
  ];
}

function contradictions(given: (name: string) => string | undefined): string[] {
  const mode = sslMode(given);
  const hasSystemRoot = given('sslrootcert') === SYSTEM;
  return [
    ...(mode === 'verify-ca' && (given('sslrootcert') === undefined || hasSystemRoot)
      ? ['has sslmode=verify-ca, which needs sslrootcert=<the file of the certificate authority>; or use verify-full']
      : []),
    ...(hasSystemRoot && mode !== 'verify-ca' && mode !== 'verify-full'
      ? [`has sslrootcert=system, which needs sslmode=verify-full, not ${mode}`]
      : []),
    ...((given('sslcert') === undefined) === (given('sslkey') === undefined)
      ? []
      : ['has only one of sslcert and sslkey; a client certificate needs both']),
    ...(given('sslnegotiation') === 'direct' && ['disable', 'allow', 'prefer'].includes(mode)
      ? [`has sslnegotiation=direct, which needs sslmode=require or stricter, not ${mode}`]
      : []),
  ];
}

function fileFaults(name: (typeof FILES)[number], path: string | undefined): string[] {
  if (path === undefined || (name === 'sslrootcert' && path === SYSTEM)) {
    return [];
  }
  try {
    accessSync(path, constants.R_OK);
    return [];
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return [`has ${name}=${path}, ${isMissing ? 'which does not exist' : 'which this process may not read'}`];
  }
}

function tlsSettings(given: (name: string) => string | undefined, isUnixSocket: boolean): TlsSettings {
  const rootCertFile = given('sslrootcert');
  return {
    // As libpq does: nothing can listen in on a Unix socket, so the mode has no meaning there.
    mode: isUnixSocket ? 'disable' : sslMode(given),
    rootCertFile: rootCertFile === SYSTEM ? undefined : rootCertFile,
    certFile: given('sslcert'),
    keyFile: given('sslkey'),
    keyPassphrase: given('sslpassword'),
    crlFile: given('sslcrl'),
    minVersion: given('ssl_min_protocol_version') as TlsVersion | undefined,
    maxVersion: given('ssl_max_protocol_version') as TlsVersion | undefined,
    direct: given('sslnegotiation') === 'direct',
  };
}

/** `ssl=true` is what JDBC writes, and libpq reads it as `require`. */
function sslMode(given: (name: string) => string | undefined): SslMode {
  const unlessGiven =
    given('sslrootcert') === SYSTEM ? 'verify-full' : ['true', '1'].includes(given('ssl') ?? '') ? 'require' : 'prefer';
  return (given('sslmode') as SslMode | undefined) ?? unlessGiven;
}

/** A password is often pasted as it is; a percent sign that encodes nothing stands for itself. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Undefined for a numeric user without an entry in the system's list, as some containers have. */
function currentUser(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}
