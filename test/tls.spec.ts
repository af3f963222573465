import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { DataSource } from 'typeorm';
import { ConfigurationInvalidError } from '../src/config/configuration.errors.js';
import { readConfiguration } from '../src/config/configuration.js';
import { dataSourceOptions } from '../src/database/data-source-options.js';
import { DatabaseUnreachableError } from '../src/database/database.errors.js';
import { EmbeddedPostgres } from '../src/database/embedded-postgres/embedded-postgres.js';
import { lockSettings } from '../src/database/lock-settings.js';
import { connectPatiently } from '../src/database/open-database.js';
import { LockConnections } from '../src/locks/lock-connections.js';
import { Certificates } from './support/certificates.js';
import { Command } from './support/command-line.js';
import { DatabaseProxy } from './support/database-proxy.js';
import { Lapse } from './support/lapse.js';
import { PostgresServer } from './support/postgres-server.js';

const certificates = new Certificates();
let server: PostgresServer;
/** The same without TLS. */
let plain: PostgresServer;

/** The role decides what pg_hba.conf asks for. */
const HBA = [
  'hostssl all needs_tls 127.0.0.1/32 trust',
  'hostnossl all needs_plain 127.0.0.1/32 trust',
  'hostssl all with_cert 127.0.0.1/32 cert',
  'host all with_password 127.0.0.1/32 scram-sha-256',
  'host all postgres 127.0.0.1/32 trust',
];
const ROLES = ['needs_tls', 'needs_plain', 'with_cert', 'with_password'];

beforeAll(async () => {
  certificates.authority('authority');
  certificates.authority('stranger');
  await writeFile(certificates.path('empty.crt'), 'no certificate');
  certificates.issue('server', 'authority', 'db.example', 'DNS:db.example,DNS:localhost');
  certificates.issue('with_cert', 'authority', 'with_cert');
  certificates.issue('forged', 'stranger', 'with_cert');
  server = await PostgresServer.start({
    version: 18,
    hba: HBA,
    files: Object.fromEntries(
      ['server.crt', 'server.key', 'authority.crt'].map((name) => [name, certificates.read(name)]),
    ),
    settings: { ssl: 'on', ssl_ca_file: 'authority.crt' },
  });
  plain = await PostgresServer.start({ version: 18 });
  for (const role of ROLES) {
    await server.run(server.url(), `CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD 'secret'`);
  }
}, 60_000);
afterEach(() => Lapse.stopAll());
afterAll(async () => {
  await server?.stop();
  await plain?.stop();
  certificates.remove();
});

const root = () => `sslrootcert=${certificates.path('authority.crt')}`;
const strange = () => `sslrootcert=${certificates.path('stranger.crt')}`;
const client = (name: string) =>
  `sslcert=${certificates.path(`${name}.crt`)}&sslkey=${certificates.path(`${name}.key`)}`;

/** Whether connections of the pool and of the locks are encrypted; or the one line of why there are none. */
async function encrypted(url: string): Promise<boolean | string> {
  const configuration = readConfiguration({ DATABASE_URL: url });
  const sql = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
  const locks = new LockConnections(lockSettings(configuration));
  try {
    const dataSource = await connectPatiently(configuration, 'DATABASE_URL', 30_000);
    const answers = [...(await dataSource.query(sql)), ...(await locks.query<{ ssl: boolean }>(sql, []))];
    await dataSource.destroy();
    expect(answers[0].ssl).toBe(answers[1].ssl);
    return answers[0].ssl;
  } catch (error) {
    return (error as Error).message;
  } finally {
    await locks.onApplicationShutdown();
  }
}

describe('sslmode means what it means to libpq', () => {
  test.each<[string, string, () => string, boolean | RegExp]>([
    ['postgres', 'disable', () => '', false],
    ['postgres', 'allow', () => '', false],
    ['postgres', 'prefer', () => '', true],
    ['postgres', '', () => '', true],
    ['postgres', 'require', () => '', true],
    ['postgres', 'require', root, true],
    [
      'postgres',
      'require',
      () => `sslrootcert=${certificates.path('empty.crt')}`,
      /sslrootcert=\S+ has no certificate/,
    ],
    [
      'postgres',
      'require',
      () => 'ssl_min_protocol_version=TLSv1&ssl_max_protocol_version=TLSv1.1',
      /^DATABASE_URL: no TLS connection to PostgreSQL: [\w ]+ \(\w+\); /,
    ],
    ['postgres', 'require', strange, /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY|issuer/i],
    ['postgres', 'verify-ca', root, true],
    ['postgres', 'verify-ca', strange, /sslrootcert/],
    ['postgres', 'verify-full', root, /ERR_TLS_CERT_ALTNAME_INVALID.*verify-ca/],
    ['postgres', 'verify-full', () => '', /sslrootcert/],
    ['needs_tls', 'disable', () => '', /no encryption/],
    ['needs_tls', 'allow', () => '', true],
    ['needs_tls', 'prefer', () => '', true],
    ['needs_plain', 'prefer', () => '', false],
    ['needs_plain', 'allow', () => '', false],
    ['needs_plain', 'prefer', strange, false],
    ['needs_plain', 'require', () => '', /refused.*SSL encryption/],
    ['with_cert', 'verify-ca', () => `${root()}&${client('with_cert')}`, true],
    ['with_cert', 'require', () => '', /refused.*certificate/],
    ['with_cert', 'require', () => client('forged'), /TLS.*sslcert/],
  ])('%s with sslmode=%s (case %#)', async (role, mode, more, expected) => {
    const search = [mode && `sslmode=${mode}`, more()].filter(Boolean).join('&');
    const answer = await encrypted(server.url(role, 'postgres', search));
    if (expected instanceof RegExp) {
      expect(answer).toMatch(expected);
      expect(answer).not.toMatch(/\n/);
    } else {
      expect(answer).toBe(expected);
    }
  });

  test.each<[string, boolean | RegExp]>([
    ['', false],
    ['sslmode=prefer', false],
    ['sslmode=allow', false],
    ['sslmode=require', /^DATABASE_URL: no TLS connection to PostgreSQL: the server does not offer it; /],
  ])('a server without TLS and "%s"', async (search, expected) => {
    const answer = await encrypted(plain.url('postgres', 'postgres', search));
    if (expected instanceof RegExp) {
      expect(answer).toMatch(expected);
    } else {
      expect(answer).toBe(expected);
    }
  });

  test('a role that may not log in is named, not the TLS that the server does not offer either', async () => {
    await plain.run(plain.url(), 'CREATE ROLE lapse_shut');
    expect(await encrypted(plain.url('lapse_shut'))).toMatch(/lapse_shut.* not permitted to log in/);
  });

  test('verify-full accepts the name that is in the certificate', async () => {
    const url = server.url('postgres', 'postgres', `sslmode=verify-full&${root()}`).replace('127.0.0.1', 'localhost');
    expect(await encrypted(url)).toBe(true);
  });
});

test('a server with TLS that is not up yet is waited for', async () => {
  const proxy = await DatabaseProxy.to(server.url('postgres', 'postgres', `sslmode=verify-ca&${root()}`));
  proxy.cut();
  const answer = encrypted(proxy.url);
  proxy.mend();
  expect(await answer).toBe(true);
  await proxy.stop();
});

test('a server in trouble, which answers the request for TLS with an error, is waited for', async () => {
  const trouble = createServer((socket) => socket.once('data', () => socket.end('E'))).listen(0, '127.0.0.1');
  await once(trouble, 'listening');
  const { port } = trouble.address() as AddressInfo;
  const given = readConfiguration({ DATABASE_URL: `postgres://postgres@127.0.0.1:${port}/x?sslmode=require` });
  await expect(connectPatiently(given, 'DATABASE_URL', 0)).rejects.toThrow(DatabaseUnreachableError);
  trouble.close();
});

test('a renewed client certificate is used by the next connection, without a restart', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lapse-renewed-'));
  const [cert, key] = [join(folder, 'client.crt'), join(folder, 'client.key')];
  const use = async (name: string) => {
    await writeFile(cert, certificates.read(`${name}.crt`));
    await writeFile(key, certificates.read(`${name}.key`));
  };
  await use('with_cert');
  const url = server.url('with_cert', 'postgres', `sslmode=require&sslcert=${cert}&sslkey=${key}`);
  const dataSource = new DataSource(dataSourceOptions(readConfiguration({ DATABASE_URL: url })));
  await dataSource.initialize();
  // Each runner keeps its connection until the end, so that the next one has to make another.
  const connect = () => dataSource.createQueryRunner().connect();

  await connect();
  await use('forged');
  await expect(connect()).rejects.toThrow(/TLS/);
  await use('with_cert');
  await connect();
  await rm(cert);
  await expect(connect()).rejects.toThrow(/sslcert=.*ENOENT/);
  await dataSource.destroy();
  await rm(folder, { recursive: true });
});

test('what is wrong with a URL is reported with the rest of the configuration, in words', () => {
  const faults = (search: string) => {
    try {
      readConfiguration({ DATABASE_URL: `postgres://lapse:hunter2@db/app?${search}`, PORT: 'x' });
      return '';
    } catch (error) {
      return (error as ConfigurationInvalidError).message;
    }
  };
  expect(faults('sslmode=strict')).toMatch(/2 faults: DATABASE_URL has sslmode=strict; allowed are disable, allow/);
  expect(faults('sslmode=verify-ca')).toMatch(/needs sslrootcert/);
  expect(faults('sslmode=require&sslrootcert=system')).toMatch(/needs sslmode=verify-full/);
  expect(faults('sslmode=verify-full&sslrootcert=/no/such')).toMatch(
    /has sslrootcert=\/no\/such, which does not exist/,
  );
  expect(faults(client('with_cert').split('&')[0] as string)).toMatch(/only one of sslcert and sslkey/);
  expect(faults('sslcrldir=/etc/crl')).toMatch(/sslcrldir, which Lapse does not support/);
  expect(faults('sslmode=strict')).not.toMatch(/hunter2/);
});

describe('a program', () => {
  const HOSTILE = {
    PGSSLMODE: 'verify-full',
    PGSSLROOTCERT: '/no/such',
    PGHOST: '/no/such',
    PGPORT: '1',
    PGUSER: 'nobody',
    PGPASSWORD: 'wrong',
    PGDATABASE: 'nowhere',
    PGOPTIONS: '-c default_transaction_read_only=on',
    PGSERVICE: 'nowhere',
    PGSSLNEGOTIATION: 'bogus',
    PGAPPNAME: 'psql',
    PGTZ: 'Asia/Kolkata',
  };

  test('starts over TLS without a warning, ends at once if it can not, and sees no variable of libpq', async () => {
    const migrate = (url: string, more: Record<string, string> = {}) =>
      Command.run(['migrate', '--json'], { DATABASE_URL: url, LAPSE_CREATE_WATCHED_TABLES: 'true', ...more });
    const [good, bad, nowhere] = await Promise.all([
      migrate(server.url('needs_tls', 'postgres', 'sslmode=require'), HOSTILE),
      migrate(server.url('postgres', 'postgres', `sslmode=verify-ca&${strange()}`)),
      migrate(server.url('with_password', 'postgres', 'sslmode=require')),
    ]);

    expect(good).toMatchObject({ code: 0, stderr: '' });
    expect(bad.code).toBe(1);
    expect(bad.stderr).toMatch(/^error: DATABASE_URL: no TLS connection to PostgreSQL: [^\n]+sslrootcert[^\n]*\n$/);
    expect(nowhere.code).toBe(1);
    expect(nowhere.stderr).toMatch(/^error: DATABASE_URL: the server asks for a password[^\n]*\n$/);
  });

  test('doctor names what is wrong with TLS, and what to do', async () => {
    const { code, stdout } = await Command.run(['doctor'], {
      DATABASE_URL: server.url('postgres', 'postgres', `sslmode=verify-full&${root()}`),
    });
    expect(code).toBe(1);
    expect(stdout).toMatch(/FAIL {2}connection +no TLS connection.*\n +to do: correct DATABASE_URL: connect by a name/);
  });
});

test('the service works over TLS: pool, locks and migrations', async () => {
  const url = server.url('needs_tls', 'postgres', `sslmode=verify-ca&${root()}`);
  const lapse = await Lapse.start(url, {
    LAPSE_CREATE_WATCHED_TABLES: 'true',
    LAPSE_LOCK_DATABASE_URL: `${url}&application_name=x`,
  });

  expect((await lapse.post('/v1/sweeps')).body.status).toBe('succeeded');
  expect((await lapse.get('/health/ready')).status).toBe(200);
});

test('variables of libpq never reach the embedded server', async () => {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'lapse-embedded-'));
  const hostile = { PGSSLMODE: 'require', PGOPTIONS: '-c nonsense=1', PGUSER: 'nobody', PGSSLNEGOTIATION: 'bogus' };
  Object.assign(process.env, hostile);
  try {
    const embedded = await EmbeddedPostgres.start({ dataDirectory });
    const given = readConfiguration({ LAPSE_DATA_DIR: dataDirectory }).withEmbedded({ url: embedded.url });
    const dataSource = await connectPatiently(given, 'DATABASE_URL', 0);
    await dataSource.destroy();
    await embedded.stop();
  } finally {
    for (const name of Object.keys(hostile)) {
      delete process.env[name];
    }
    await rm(dataDirectory, { recursive: true, force: true });
  }
}, 60_000);
