import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { auditLogOf, Command, type Ended, ME } from './support/command-line.js';
import { createDatabase, dropDatabase } from './support/databases.js';
import { eventually } from './support/eventually.js';
import { useWorld } from './support/world.js';

const world = useWorld();
const cleanups: (() => Promise<unknown>)[] = [];

beforeEach(() => world.host.pool.query('TRUNCATE lapse.audit_log'));
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

/** On the database of this file. */
function lapse(...args: string[]): Promise<Ended> {
  return Command.run(args, { DATABASE_URL: world.databaseUrl });
}

describe('lapse keys', () => {
  test('makes a key that opens the API, shows its secret once, and revokes it', async () => {
    const args = ['--name', 'report', '--role', 'viewer', '--tenant', 'acme', '--expires', '2099-01-01T00:00:00Z'];
    const [made, other] = await Promise.all([
      lapse('keys', 'create', ...args, '--json'),
      lapse('keys', 'create', '--name', 'theirs', '--role', 'admin', '--tenant', 'globex'),
    ]);
    const created = JSON.parse(made.stdout);
    expect(created).toMatchObject({ name: 'report', role: 'viewer', tenantId: 'acme', createdBy: ME });
    expect(created.expiresAt).toBe('2099-01-01T00:00:00.000Z');
    expect(other.stdout).toMatch(/^lapse_\w{16}_\w{38}\n/);
    expect((await world.lapse.get('/v1/executions', created.key)).status).toBe(200);
    expect((await world.lapse.get('/v1/executions?tenantId=globex', created.key)).status).toBe(404);

    const [table, ofTenant] = await Promise.all([
      lapse('keys', 'list'),
      lapse('keys', 'list', '--tenant', 'acme', '--json'),
    ]);

    expect(table.stdout).toMatch(new RegExp(`│ ${created.id} │ report +│ viewer │ acme +│ until 2099-01-01 │`));
    expect(table.stdout).toMatch(/│ theirs +│ admin +│ globex +│ opens +│ never/);
    expect(JSON.parse(ofTenant.stdout)).toEqual({
      items: [expect.objectContaining({ id: created.id, name: 'report' })],
      nextCursor: null,
    });
    expect(table.stdout + ofTenant.stdout).not.toContain(created.key.split('_')[2]);

    const revoked = await lapse('keys', 'revoke', created.id);
    expect(revoked).toEqual({ code: 0, stdout: `Revoked: ${created.id}\n`, stderr: '' });
    const opens = async () => (await world.lapse.get('/v1/executions', created.key)).status;
    await eventually(opens, (status) => status === 401);
    expect((await auditLogOf(world.host)).map(({ action, who }) => [action, who])).toEqual([
      ['api-key.create', ME],
      ['api-key.create', ME],
      ['api-key.revoke', ME],
    ]);
  });

  test('ends with 2 on an expiry in the past, and names the option', async () => {
    const { code, stdout, stderr } = await lapse(
      ...['keys', 'create', '--name', 'report', '--role', 'viewer', '--expires', '2020-01-01T00:00:00Z'],
    );
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(
      /^error: --expires must be in the future, not 2020-01-01T00:00:00.000Z: it is 20\S+Z now\n$/,
    );
  });

  test('ends with 1 on a key that does not exist, which is on record', async () => {
    const nobodys = '00000000-0000-7000-8000-000000000000';

    expect(await lapse('keys', 'revoke', nobodys)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'error: There is no such API key\n',
    });
    expect(await auditLogOf(world.host)).toMatchObject([
      { action: 'api-key.revoke', target: nobodys, outcome: 'refused' },
    ]);
  });
});

test('lapse migrate says what it did, and the second time that there was nothing to do', async () => {
  const DATABASE_URL = await createDatabase('nothing');
  cleanups.push(() => dropDatabase(DATABASE_URL));

  const first = await Command.run(['migrate', '--json'], { DATABASE_URL, LAPSE_CREATE_WATCHED_TABLES: 'true' });
  const second = await Command.run(['migrate'], { DATABASE_URL });

  expect(JSON.parse(first.stdout)).toEqual({
    schema: 'lapse',
    migrations: expect.arrayContaining(['CreateLapseTables1763800000000']),
    createdTables: ['"public".conversations', '"public".workflow_executions'],
  });
  expect(second).toEqual({ code: 0, stdout: 'Schema "lapse" is up to date: nothing to do\n', stderr: '' });
});

test('without DATABASE_URL, commands work beside the service that runs on the data directory, and without one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lapse-cli-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const environment = { LAPSE_DATA_DIR: join(folder, 'data'), LAPSE_DEMO: 'false', LAPSE_SWEEP_CRON: 'off', PORT: '0' };
  const key = async (name: string) =>
    (await Command.run(['keys', 'create', '--name', name, '--role', 'viewer', '--json'], environment)).code;
  const service = Command.start(['serve'], environment);
  cleanups.push(() => {
    service.kill('SIGKILL');
    return service.ended();
  });
  await eventually(
    async () => service.stdout,
    (output) => output.includes('Lapse is running'),
    25_000,
  );

  expect(await key('beside the service')).toBe(0);
  service.kill('SIGTERM');
  expect((await service.ended()).code).toBe(0);
  expect(await key('alone')).toBe(0);

  const { code, stdout } = await Command.run(['keys', 'list', '--json'], environment);
  expect(code).toBe(0);
  expect(JSON.parse(stdout).items.map(({ name }: { name: string }) => name)).toEqual(['alone', 'beside the service']);
  const pidFile = join(folder, 'data/postgres/postmaster.pid');
  await expect(stat(pidFile)).rejects.toMatchObject({ code: 'ENOENT' });
}, 60_000);
