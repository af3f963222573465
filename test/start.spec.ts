import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from '@jest/globals';
import { startErrorLine } from '../src/start.errors.js';
import { Command } from './support/command-line.js';
import { createDatabase, dropDatabase } from './support/databases.js';
import { Examination } from './support/doctor.js';
import { eventually } from './support/eventually.js';
import { freePort } from './support/free-port.js';
import { Lapse } from './support/lapse.js';
import { endServices, Service } from './support/service-process.js';
import { useDatabase } from './support/world.js';

const world = useDatabase();
const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await endServices();
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

const ISO_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Another program, which hangs up on whoever connects. */
async function otherProgram(): Promise<Server> {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function emptyDatabase(): Promise<string> {
  const url = await createDatabase('nothing');
  cleanups.push(() => dropDatabase(url));
  return url;
}

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lapse-start-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** What the health check of the container says, with a proxy in the environment, and on a port that `fetch` refuses. */
function health(address: { HOST: string; PORT: string }): Promise<string> {
  const proxy = { HTTP_PROXY: 'http://127.0.0.1:1', NODE_USE_ENV_PROXY: '1' };
  const env = { PATH: process.env.PATH, DATABASE_URL: world.databaseUrl, ...proxy, ...address };
  return promisify(execFile)(process.execPath, ['dist/healthcheck.js'], { env }).then(
    () => 'healthy',
    ({ code, stderr }) => `${code} ${stderr}`,
  );
}

/** What a service that can't start writes: one record on standard error, and exit code 1. */
async function startError(environment: Record<string, string>): Promise<string> {
  const service = Service.run({ DATABASE_URL: world.databaseUrl, LAPSE_LOG: 'json', ...environment });
  expect((await service.end()).code).toBe(1);
  const lines = service.stderr.split('\n').filter((line) => line !== '' && !line.includes('"level":"warn"'));
  expect(lines).toHaveLength(1);
  const record = JSON.parse(lines[0] as string);
  expect(record).toEqual({
    level: 'fatal',
    pid: expect.any(Number),
    timestamp: expect.stringMatching(ISO_UTC),
    context: 'Lapse',
    message: expect.not.stringMatching(/\n|^\s*at |hunter2/m),
  });
  return record.message;
}

test('a port or an address that is not to be had is named with HOST and PORT, in one line, by the doctor too', async () => {
  const taken = await otherProgram();
  cleanups.push(promisify(taken.close.bind(taken)));
  const { port } = taken.address() as { port: number };
  const cases = [
    [
      { HOST: '127.0.0.1', PORT: String(port) },
      new RegExp(
        `^Can't listen on HOST=127.0.0.1 PORT=${port}: another process listens there \\(EADDRINUSE\\); end that one, or set PORT to a free port$`,
      ),
    ],
    [
      { HOST: '192.0.2.1', PORT: '0' },
      /^Can't listen on HOST=192\.0\.2\.1 PORT=0: .*is no address of this machine.*; set HOST to/,
    ],
    [
      { HOST: 'no-such-host.invalid', PORT: '0' },
      /^Can't listen on HOST=no-such-host\.invalid PORT=0: .*; set HOST to/,
    ],
  ] as const;

  await Promise.all(
    cases.map(async ([environment, message]) => {
      expect(await startError(environment)).toMatch(message);
      const { findings } = await Examination.in({ DATABASE_URL: world.databaseUrl, ...environment });
      const failed = findings.filter(({ verdict }) => verdict === 'fail');
      expect(failed).toMatchObject([{ check: 'address' }]);
      expect(`${failed[0]?.seen}; ${failed[0]?.remedy}`).toMatch(message);
    }),
  );
}, 60_000);

test('whatever stops the start is one line with what to do', async () => {
  const cases = [
    [
      { LAPSE_DEMO: 'perhaps', LAPSE_LOG: 'xml', LAPSE_LOG_LEVEL: 'loud' },
      /3 faults: LAPSE_DEMO must be true or false.*; LAPSE_LOG must be text or json, .*; LAPSE_LOG_LEVEL must be error, warn, info or debug/,
      'configuration',
    ],
    [
      { DATABASE_URL: '', LAPSE_DATA_DIR: 'package.json' },
      /can't start: it is a file, not a folder; correct that, name another directory in LAPSE_DATA_DIR/,
      'connection',
    ],
    [
      { DATABASE_URL: await emptyDatabase() },
      /no table "public"\.workflow_executions; set LAPSE_WATCHED_SCHEMA/,
      'watched table',
    ],
  ] as const;
  await Promise.all(
    cases.map(async ([environment, message, check]) => {
      expect(await startError(environment)).toMatch(message);
      const examination = await Examination.in({ DATABASE_URL: world.databaseUrl, ...environment });
      expect(examination.of(check)?.verdict).toBe('fail');
    }),
  );
}, 60_000);

test('what stops the start fails in the doctor, too', async () => {
  const DATABASE_URL = await emptyDatabase();
  const wrong = new URL(world.databaseUrl);
  wrong.pathname = '/no_such_database';
  const created = { LAPSE_CREATE_WATCHED_TABLES: 'true' };
  const cases = [
    [{ DATABASE_URL: wrong.href }, /no_such_database" does not exist; check DATABASE_URL$/, 'connection'],
    [{ LAPSE_LOCK_DATABASE_URL: wrong.href }, /does not exist; check LAPSE_LOCK_DATABASE_URL$/, 'locks'],
    [
      { DATABASE_URL, ...created, LAPSE_WATCHED_SCHEMA: 'nowhere' },
      /can't be created in schema "nowhere" \(schema "nowhere" does not exist\); set LAPSE_WATCHED_SCHEMA/,
      'watched table',
    ],
    [
      { ...created, LAPSE_WATCHED_SCHEMA: 'pg_catalog' },
      /can't be created in schema "pg_catalog".*permission denied/,
      'watched table',
    ],
  ] as const;
  for (const [environment, message, check] of cases) {
    const all = { DATABASE_URL: world.databaseUrl, ...environment };
    const error = await Lapse.start(all.DATABASE_URL, all).catch((reason: unknown) => reason);
    expect(startErrorLine(error)).toMatch(message);
    expect((await Examination.in(all)).of(check)?.verdict).toBe('fail');
  }
}, 60_000);

test('a role that may not migrate stops the service, and fails in the doctor, which leaves nothing behind', async () => {
  const role = `starters_${Date.now()}`;
  const owner = world.host.pool;
  await owner.query(`CREATE ROLE ${role} LOGIN PASSWORD 'hunter2'`);
  cleanups.push(() => owner.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`));
  const url = new URL(world.databaseUrl);
  [url.username, url.password] = [role, 'hunter2'];
  await owner.query(`DELETE FROM lapse.migrations WHERE name LIKE 'CountByPartition%'`);
  cleanups.push(() =>
    owner.query(
      `INSERT INTO lapse.migrations (timestamp, name) VALUES (1764400000000, 'CountByPartition1764400000000') ON CONFLICT DO NOTHING`,
    ),
  );
  await owner.query(`GRANT USAGE ON SCHEMA lapse TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA lapse TO ${role}`);

  const environment = { DATABASE_URL: url.href };
  const line = await startError(environment);
  const doctor = await Command.run(['doctor', '--json'], environment);
  const fresh = await Examination.in({ ...environment, LAPSE_SCHEMA: 'theirs' });

  expect(line).toMatch(/may not create Lapse's tables in schema "lapse" \(.+\); let the owner of the database run/);
  expect(doctor.code).toBe(1);
  for (const examination of [Examination.ofOutput(doctor.stdout), fresh]) {
    expect(examination.of('migrations')).toMatchObject({ verdict: 'fail', remedy: expect.stringContaining(role) });
  }
  const { rows } = await owner.query(`SELECT FROM pg_namespace WHERE nspname = 'theirs'`);
  expect(rows).toHaveLength(0);
}, 60_000);

test('the doctor tries the migrations of an empty database, and leaves it empty', async () => {
  const DATABASE_URL = await emptyDatabase();
  const examination = await Examination.in({ DATABASE_URL, LAPSE_CREATE_WATCHED_TABLES: 'true' });
  expect(examination.code).toBe(0);
  expect(examination.of('migrations')).toMatchObject({
    verdict: 'warn',
    seen: expect.stringContaining('tried, and rolled back'),
  });
  const again = await Command.run(['migrate', '--json'], { DATABASE_URL, LAPSE_CREATE_WATCHED_TABLES: 'true' });
  expect(JSON.parse(again.stdout).createdTables).toHaveLength(2);
});

test('the stack of a start error is in the log if debug is asked for', async () => {
  const service = Service.run({ DATABASE_URL: await emptyDatabase(), LAPSE_LOG: 'text', LAPSE_LOG_LEVEL: 'debug' });
  expect((await service.end()).code).toBe(1);
  expect(service.output).toMatch(
    /\[Lapse\] \d+ {2}- \d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z +FATAL \[Lapse\] There is no table/,
  );
  expect(service.output).toMatch(/DEBUG \[Lapse\] WatchedTableMissingError: There is no table[^\n]*\n\s+at /);
});

test('the start line names what the service works on, in both formats, and the health check follows HOST and PORT', async () => {
  const ports = ['6697', String(await freePort()), String(await freePort())] as const;
  const common = { DATABASE_URL: world.databaseUrl, LAPSE_APPROVAL_TIMEOUT: '2h', LAPSE_SWEEP_CRON: '17 4 * * *' };
  const json = Service.run({ ...common, HOST: '0.0.0.0', PORT: ports[0] });
  const text = Service.run({ ...common, HOST: '::', PORT: ports[1], LAPSE_LOG: 'text' });
  const quiet = Service.run({ ...common, HOST: '::1', PORT: ports[2], LAPSE_LOG_LEVEL: 'error' });
  await Promise.all([
    json.url(),
    text.url(),
    eventually(
      () => fetch(`http://[::1]:${ports[2]}/health/live`).catch(() => undefined),
      (answer) => answer?.status === 200,
      20_000,
    ),
  ]);

  const [name] = world.databaseUrl.split('/').slice(-1);
  const line = (url: string) =>
    new RegExp(
      `Listening on ${url}, Swagger UI at ${url}/docs, version \\d+\\.\\d+\\.\\d+, database "${name}" on ` +
        '127\\.0\\.0\\.1:\\d+ as role "\\w+" \\(PostgreSQL \\d+\\.\\d+\\), schema "lapse", watched table ' +
        '"public"\\.workflow_executions, timeout 2h, schedule "17 4 \\* \\* \\*" \\(UTC\\), guard not installed',
    );
  const records = json.output
    .trim()
    .split('\n')
    .map((row) => JSON.parse(row));
  expect(records.find(({ message }) => message.startsWith('Listening'))).toMatchObject({
    message: expect.stringMatching(line(`http://127.0.0.1:${ports[0]}`)),
    timestamp: expect.stringMatching(ISO_UTC),
  });
  const shown = text.output.split('\n').find((row) => row.includes('Listening')) as string;
  expect(shown).toMatch(line(`http://localhost:${ports[1]}`));
  expect(shown).toMatch(/^\[Lapse\] \d+ {2}- \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z +LOG \[Lapse\] Listening/);

  const names = [
    ['0.0.0.0', '', 'localhost'],
    ['::', '0:0:0:0:0:0:0:0'],
    ['::1', '0:0:0:0:0:0:0:1'],
  ];
  const asked = names.flatMap((hosts, index) => hosts.map((HOST) => ({ HOST, PORT: ports[index] as string })));
  const answers = await Promise.all(asked.map(async (address) => ({ ...address, seen: await health(address) })));
  expect(answers).toEqual(asked.map((address) => ({ ...address, seen: 'healthy' })));
  expect(await health({ HOST: '0.0.0.0', PORT: String(await freePort()) })).toMatch(/^1 .*ECONNREFUSED/);
  expect(await health({ HOST: '127.0.0.1', PORT: '0' })).toMatch(/^1 PORT=0 means any free port/);
  // To the doctor, too, a service that is alive is none of those that keep another one from the port.
  const beside = await Examination.in({ ...common, HOST: '0.0.0.0', PORT: ports[0] });
  expect(beside.of('address')?.verdict).toBe('ok');
  json.freeze();
  expect(await health({ HOST: '127.0.0.1', PORT: ports[0] })).toMatch(/^1 /);

  await Promise.all([text.end('SIGTERM'), quiet.end('SIGTERM')]);
  expect(quiet.output).toBe('');
}, 60_000);

test('commands create no PostgreSQL: without DATABASE_URL in an empty folder they say what is missing', async () => {
  const folder = await emptyFolder();
  const data = join(folder, 'data');
  const commands = [
    ['sweep', '--dry-run'],
    ['migrate'],
    ['keys', 'list'],
    ['guard', 'status'],
    ['undo', '01a2046b-b78f-79aa-b88d-dc1d2687064d', '--reason', 'x'],
  ];
  for (const ended of await Promise.all(commands.map((command) => Command.run(command, { LAPSE_DATA_DIR: data })))) {
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toMatch(
      /^error: DATABASE_URL is not set, and no PostgreSQL of Lapse's own is under .*data: set [^\n]*\n$/,
    );
  }
  const doctor = await Command.run(['doctor'], { LAPSE_DATA_DIR: data, DATABASE_URL: '' });
  expect(doctor.code).toBe(1);
  expect(doctor.stdout).toMatch(/^FAIL {2}connection +DATABASE_URL is not set, .*\n +to do: set DATABASE_URL/);
  expect(await readdir(folder)).toEqual([]);

  // A data directory without a cluster is left as it is.
  await writeFile(join(folder, 'admin-key'), 'kept');
  expect((await Command.run(['sweep'], { LAPSE_DATA_DIR: folder })).code).toBe(1);
  expect(await readdir(folder)).toEqual(['admin-key']);
}, 60_000);
