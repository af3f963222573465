import type { DataSource } from 'typeorm';
import { schemaOf } from '../database/schema-of.js';
import type { WatchedTable } from '../executions/watched-table.js';
import { GUARD_BODY, GUARD_TRIGGER } from './late-approval-guard.sql.js';

/** `outdated`: of another version of Lapse; `disabled`: somebody has switched the trigger off. */
export type GuardState = 'installed' | 'missing' | 'disabled' | 'outdated';

/** Whether the guard is on the watched table, as the catalogue tells it. */
export async function guardState(dataSource: DataSource, watched: WatchedTable): Promise<GuardState> {
  const [trigger] = await dataSource.query(
    `SELECT t.tgenabled = 'O' AS enabled, p.prosrc = $3 AND n.nspname = $4 AS current
       FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE t.tgrelid = $1::regclass AND t.tgname = $2 AND NOT t.tgisinternal`,
    [watched.name, GUARD_TRIGGER, GUARD_BODY, schemaOf(dataSource).replaceAll('"', '')],
  );
  if (!trigger) {
    return 'missing';
  }
  if (!trigger.current) {
    return 'outdated';
  }
  return trigger.enabled ? 'installed' : 'disabled';
}
