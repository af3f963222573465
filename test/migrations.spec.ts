import { expect, test } from '@jest/globals';
import { readConfiguration } from '../src/config/configuration.js';
import { CountByPartition1764400000000 } from '../src/database/migrations/1764400000000-count-by-partition.js';
import { openDatabase } from '../src/database/open-database.js';
import { eventually } from './support/eventually.js';
import { useDatabase } from './support/world.js';

const world = useDatabase();

function open() {
  return openDatabase(readConfiguration({ DATABASE_URL: world.databaseUrl }));
}

test('a migration that has to wait for a table lets older replicas write to it, and runs once the table is free', async () => {
  const { pool } = world.host;
  const current = await open();
  const runner = current.createQueryRunner();
  await new CountByPartition1764400000000().down(runner);
  await runner.query(`DELETE FROM lapse.migrations WHERE name = 'CountByPartition1764400000000'`);
  await runner.release();
  await current.destroy();
  const reader = await pool.connect();
  await reader.query('BEGIN');
  await reader.query('SELECT FROM lapse.failures');

  let isOpen = false;
  const opening = open().finally(() => {
    isOpen = true;
  });
  const waits = `SELECT count(*)::int AS count FROM pg_locks WHERE NOT granted AND relation = 'lapse.failures'::regclass`;
  await eventually(
    () => pool.query(waits),
    ({ rows }) => rows[0].count > 0,
  );
  const writer = await pool.connect();
  await writer.query(`SET lock_timeout = '5s'`);
  for (let write = 0; write < 5; write += 1) {
    await writer.query('UPDATE lapse.failures SET attempts = attempts');
  }
  writer.release();
  expect(isOpen).toBe(false);
  await reader.query('COMMIT');
  reader.release();

  await (await opening).destroy();
  const { rows } = await pool.query(`SELECT to_regclass('lapse.sweep_counts') IS NOT NULL AS migrated`);
  expect(rows).toEqual([{ migrated: true }]);
}, 60_000);

test('ids are in the order in which they were made, also within one millisecond', async () => {
  const ids: string[] = [];
  for (let count = 0; count < 200; count += 1) {
    const { rows } = await world.host.pool.query('SELECT lapse.uuid_v7() AS id');
    ids.push(rows[0].id);
  }

  expect(ids).toEqual([...ids].sort());
  expect(new Set(ids).size).toBe(200);
  expect(ids.every((id) => /^.{8}-.{4}-7.{3}-[89ab]/.test(id))).toBe(true);
  const ms = Number.parseInt((ids[199] as string).replaceAll('-', '').slice(0, 12), 16);
  expect(Math.abs(ms - Date.now())).toBeLessThan(5_000);
});
