import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { schemaOf } from '../database/schema-of.js';
import { sqlStateOf } from '../database/sql-state.js';
import { WatchedTable } from '../executions/watched-table.js';
import {
  asScript,
  GUARD_BODY,
  GUARD_LOCK_TIMEOUT,
  GUARD_TRIGGER,
  type GuardStatement,
  installGuard,
  removeGuard,
} from './late-approval-guard.sql.js';
import { GuardNotPermittedError, WatchedTableBusyError } from './timeouts.errors.js';

const MOST_TRIES = 10;
const PAUSE_MS = 500;
const INSUFFICIENT_PRIVILEGE = '42501';
const LOCK_NOT_AVAILABLE = '55P03';

/** `outdated`: of another version of Lapse; `disabled`: somebody has switched the trigger off. */
export type GuardState = 'installed' | 'missing' | 'disabled' | 'outdated';

/**
 * A trigger on the watched table that refuses to move an execution which Lapse timed out to any other status, so that a
 * late approval which updates by key alone can't bring it back. Somebody has to ask for it: the table is the host's.
 */
@Injectable()
export class LateApprovalGuard {
  private readonly statements: { install: GuardStatement[]; remove: GuardStatement[] };

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly watched: WatchedTable,
  ) {
    const schema = schemaOf(dataSource);
    this.statements = { install: installGuard(schema, watched.name), remove: removeGuard(schema, watched.name) };
  }

  /** The SQL of `install` or `remove`, for whoever has the rights that Lapse's role hasn't. */
  script(what: 'install' | 'remove'): string {
    return asScript(this.statements[what]);
  }

  /** Installing it again brings it up to date. @throws GuardNotPermittedError, WatchedTableBusyError */
  async install(): Promise<void> {
    await this.run('install');
  }

  /** Removing what isn't there changes nothing. @throws GuardNotPermittedError, WatchedTableBusyError */
  async remove(): Promise<void> {
    await this.run('remove');
  }

  async status(): Promise<GuardState> {
    const [trigger] = await this.dataSource.query(
      `SELECT t.tgenabled = 'O' AS enabled, p.prosrc = $3 AND p.pronamespace = $4::regnamespace AS current
         FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = $1::regclass AND t.tgname = $2 AND NOT t.tgisinternal`,
      [this.watched.name, GUARD_TRIGGER, GUARD_BODY, schemaOf(this.dataSource)],
    );
    if (!trigger) {
      return 'missing';
    }
    return trigger.current ? (trigger.enabled ? 'installed' : 'disabled') : 'outdated';
  }

  /** Creating or dropping a trigger waits for whoever updates; it gives up quickly, so that nobody waits behind it. */
  private async run(what: 'install' | 'remove'): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.tryOnce(what);
      } catch (error) {
        if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE) {
          throw error;
        }
        if (tries === MOST_TRIES) {
          throw new WatchedTableBusyError(this.watched.name, error);
        }
        await delay(PAUSE_MS);
      }
    }
  }

  private async tryOnce(what: 'install' | 'remove'): Promise<void> {
    await this.dataSource.transaction(async (transaction) => {
      await transaction.query(GUARD_LOCK_TIMEOUT);
      for (const { sql, right } of this.statements[what]) {
        await transaction.query(sql).catch((error: unknown) => {
          throw sqlStateOf(error) === INSUFFICIENT_PRIVILEGE
            ? new GuardNotPermittedError(what, right, this.script(what), error)
            : error;
        });
      }
    });
  }
}
