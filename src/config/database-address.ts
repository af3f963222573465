import { accessSync, constants } from 'node:fs';
import { userInfo } from 'node:os';
import { nearestName } from './nearest-name.js';

export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
export type TlsVersion = (typeof TLS_VERSIONS)[number];

/** What libpq checks or demands and the driver can't: ignoring them would weaken what the URL asks for. */
const UNSUPPORTED = ['sslcrldir', 'requirepeer', 'require_auth'];

/** Parameters that begin with "ssl" and that libpq or JDBC know; any other is a slip that would weaken the connection. */
const SSL_PARAMETERS = [
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'sslpassword',
  'sslcrl',
  'sslnegotiation',
  'ssl_min_protocol_version',
  'ssl_max_protocol_version',
  'ssl',
  // Without effect here.
  'sslcompression',
  'sslsni',
  'sslcertmode',
  // Refused.
  'sslcrldir',
];

const FORM = 'must be a URL such as postgres://user:password@host:5432/database';
const SEVERAL_HOSTS =
  'names several hosts, and Lapse connects to one; name the primary, or an address that leads to it';
const ENCODING =
  'special characters of a password are percent-encoded in a URL: # is %23, / is %2F, @ is %40, ? is %3F';

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

/** For people: the server that the address leads to. */
export function describeServer({ host, port }: Pick<DatabaseAddress, 'host' | 'port'>): string {
  if (host.startsWith('/')) {
    return `the socket in ${host}`;
  }
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** What is wrong with a URL, each as what completes the sentence "DATABASE_URL …". Says nothing of the password. */
export function databaseUrlFaults(text: string): string[] {
  if (/^postgres(ql)?:\/\/[^/?#]*,/i.test(text.trim())) {
    return [SEVERAL_HOSTS];
  }
  if (!/^postgres(ql)?:\/\//i.test(text.trim()) || !URL.canParse(text)) {
    return [`${FORM}; ${ENCODING}`];
  }
  const { searchParams } = new URL(text);
  const given = (name: string) => searchParams.get(name) || undefined;
  const oneOf = (name: string, allowed: readonly string[]) =>
    given(name) === undefined || allowed.includes(given(name) as string)
      ? []
      : [`has ${name}=${given(name)}; allowed are ${allowed.join(', ')}`];
  return [
    ...misreadPassword(new URL(text)),
    ...placeFaults(new URL(text)),
    ...unknownSslParameters([...searchParams.keys()]),
    ...oneOf('sslmode', SSL_MODES),
    ...oneOf('sslnegotiation', ['postgres', 'direct']),
    ...oneOf('ssl_min_protocol_version', TLS_VERSIONS),
    ...oneOf('ssl_max_protocol_version', TLS_VERSIONS),
    ...UNSUPPORTED.filter(given).map((name) => `has ${name}, which Lapse does not support`),
    ...contradictions(given),
    ...FILES.flatMap((name) => fileFaults(name, given(name))),
  ];
}

/** A character of the password that ends the part of the URL in which it stands. */
function misreadPassword({ hash, pathname, searchParams }: URL): string[] {
  if (hash !== '') {
    return [`has a "#", and what follows it would be lost; ${ENCODING}`];
  }
  const database = pathname.slice(1);
  const odd = ['@', '/'].find((character) => database.includes(character));
  if (odd !== undefined) {
    return [`is misread: the name of the database has a "${odd}"; ${ENCODING}`];
  }
  return [...searchParams.keys()].some((name) => name.includes('@'))
    ? [`is misread: the name of a parameter has an "@"; ${ENCODING}`]
    : [];
}

function placeFaults({ port, searchParams }: URL): string[] {
  const ports = [port, searchParams.get('port') ?? ''].filter((text) => text !== '');
  return [
    ...(searchParams.get('host')?.includes(',') ? [SEVERAL_HOSTS] : []),
    ...ports
      .filter((text) => !/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > 65_535)
      .map((text) => `has port=${text}; allowed are whole numbers from 1 to 65535`),
  ];
}

function unknownSslParameters(names: readonly string[]): string[] {
  const ours = names.filter((name) => /^ssl/i.test(name));
  const unknown = ours.filter((name) => !SSL_PARAMETERS.includes(name));
  const repeated = ours.filter((name, at) => SSL_PARAMETERS.includes(name) && ours.indexOf(name) < at);
  return [
    ...unknown.map((name) => {
      const nearest = nearestName(name, SSL_PARAMETERS);
      return `has ${name}, which is not a parameter of a PostgreSQL URL${nearest ? `; did you mean ${nearest}?` : ''}`;
    }),
    ...[...new Set(repeated)].map((name) => `has ${name} more than once`),
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
