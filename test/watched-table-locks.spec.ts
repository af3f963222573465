import { afterEach, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { eventually } from './support/eventually.js';
import { useWorld } from './support/world.js';

const world = useWorld();
let migration: pg.Client;

/** A session of the host's that calls itself so. */
async function connect(application: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: world.databaseUrl, application_name: application });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

beforeEach(async () => {
  await world.host.pool.query(
    `INSERT INTO conversations (tenant_id, project_id, id) VALUES ('acme', 'support', 'c') ON CONFLICT DO NOTHING`,
  );
  migration = await connect('drizzle-kit');
});
afterEach(() => migration.end());

const LOCK = 'BEGIN; LOCK TABLE workflow_executions IN ACCESS EXCLUSIVE MODE';
const READS = [
  '/v1/executions',
  '/v1/executions?agentId=a',
  '/v1/tenants/acme/projects/support/executions/x',
  '/v1/tenants/acme/projects/support/conversations/c/pending-approvals',
  '/v1/backlog',
];

test('reads of a table that is locked are 503 after a second, and name the holder to the platform', async () => {
  await migration.query(LOCK);
  const { rows } = await migration.query('SELECT pg_backend_pid() AS pid');
  const started = performance.now();

  const answers = await Promise.all([...READS, ...READS, ...READS].map((path) => world.lapse.get(path)));

  expect(performance.now() - started).toBeLessThan(5_000);
  for (const { status, headers, body } of answers) {
    expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'table_locked', '5']);
    expect(body.detail).toMatch(
      /^The table of executions is locked: held by pid \d+ \(application "drizzle-kit"\), in a transaction since 2\S+Z$/,
    );
    expect(body.detail).toContain(`pid ${rows[0].pid} `);
    expect(body.detail).not.toMatch(/LOCK TABLE/);
  }
  await migration.query('ROLLBACK');
  expect((await world.lapse.get('/v1/executions')).status).toBe(200);
  expect((await world.lapse.get('/v1/backlog')).status).toBe(200);
});

test('a credential of a tenant gets the 503 without who holds the lock, the original route in its own form', async () => {
  const key = await world.lapse.createKey('viewer', 'acme');
  await migration.query(LOCK);

  const [own, dropIn] = await Promise.all([
    world.lapse.get('/v1/executions', key),
    world.lapse.get('/run/api/conversations/c/pending-approvals?projectId=support', key),
  ]);

  expect(own.body).toMatchObject({
    code: 'table_locked',
    detail: 'The table of executions is locked at the moment; try again',
  });
  expect([dropIn.status, dropIn.body]).toEqual([
    503,
    { error: 'The table of executions is locked at the moment; try again' },
  ]);
});

test('whoever waits for the lock, and has readers queue behind it, is named with what it waits for', async () => {
  const reader = await connect('report');
  await reader.query('BEGIN; SELECT FROM workflow_executions');
  const { rows } = await reader.query('SELECT pg_backend_pid() AS pid');
  const altering = migration.query('ALTER TABLE workflow_executions ADD later int').catch(() => undefined);
  await eventually(
    () => world.host.pool.query('SELECT FROM pg_locks WHERE NOT granted'),
    ({ rowCount }) => rowCount === 1,
  );

  const { body } = await world.lapse.get('/v1/executions');

  expect(body.detail).toMatch(/others queue behind pid \d+ \(application "drizzle-kit"\).+, which waits for pid \d+$/);
  expect(body.detail).toContain(`which waits for pid ${rows[0].pid}`);
  await reader.end();
  await altering;
  await world.host.pool.query('ALTER TABLE workflow_executions DROP later');
});

test('a lock on conversations keeps pending approvals alone', async () => {
  await migration.query('BEGIN; LOCK TABLE conversations IN ACCESS EXCLUSIVE MODE');
  const { body } = await world.lapse.get(READS[3] as string);
  expect([body.code, body.detail]).toEqual(['table_locked', expect.stringContaining('drizzle-kit')]);
  expect((await world.lapse.get('/v1/executions')).status).toBe(200);
});

test('a lock that is gone within the second costs a wait and nothing else', async () => {
  await world.host.suspend({ id: 'x', minutes: 5 });
  await migration.query(LOCK);
  const asked = world.lapse.get('/v1/executions');
  await eventually(
    () => world.host.pool.query('SELECT FROM pg_locks WHERE NOT granted'),
    ({ rowCount }) => rowCount === 1,
  );
  await migration.query('ROLLBACK');
  expect((await asked).body.items).toHaveLength(1);
});

test('a read that is cancelled is 503 with advice', async () => {
  await migration.query(LOCK);
  const asked = world.lapse.get('/v1/executions');
  const { rows } = await eventually(
    () => world.host.pool.query('SELECT pid FROM pg_locks WHERE NOT granted'),
    ({ rowCount }) => rowCount === 1,
  );
  await world.host.pool.query('SELECT pg_cancel_backend($1)', [rows[0].pid]);
  const { status, body } = await asked;
  expect([status, body.code]).toEqual([503, 'read_timeout']);
  expect(body.detail).toMatch(/lapse doctor/);
});
