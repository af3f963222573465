import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { Caller } from '../access/principal.js';
import { AuditLogService } from '../audit/audit-log.service.js';
import { schemaOf } from '../database/schema-of.js';
import { sqlStateOf } from '../database/sql-state.js';
import { WatchedTable } from '../executions/watched-table.js';
import {
  asScript,
  GUARD_LOCK_TIMEOUT,
  type GuardStatement,
  installGuard,
  removeGuard,
} from './late-approval-guard.sql.js';
import { type GuardState, guardState } from './late-approval-guard.state.js';
import { GuardNotPermittedError, WatchedTableBusyError } from './timeouts.errors.js';

const MOST_TRIES = 10;
const PAUSE_MS = 500;
const INSUFFICIENT_PRIVILEGE = '42501';
const LOCK_NOT_AVAILABLE = '55P03';

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
    private readonly auditLog: AuditLogService,
  ) {
    const schema = schemaOf(dataSource);
    this.statements = { install: installGuard(schema, watched.name), remove: removeGuard(schema, watched.name) };
  }

  /** Installing it again brings it up to date. @throws GuardNotPermittedError, WatchedTableBusyError */
  async install(by: Caller): Promise<void> {
    await this.run('install', by);
  }

  /** Removing what isn't there changes nothing. @throws GuardNotPermittedError, WatchedTableBusyError */
  async remove(by: Caller): Promise<void> {
    await this.run('remove', by);
  }

  status(): Promise<GuardState> {
    return guardState(this.dataSource, this.watched);
  }

  /** Creating or dropping a trigger waits for whoever updates; it gives up quickly, so that nobody waits behind it. */
  private async run(what: 'install' | 'remove', by: Caller): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.tryOnce(what, by);
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

  private async tryOnce(what: 'install' | 'remove', by: Caller): Promise<void> {
    await this.dataSource.transaction(async (transaction) => {
      await transaction.query(GUARD_LOCK_TIMEOUT);
      for (const { sql, right } of this.statements[what]) {
        await transaction.query(sql).catch((error: unknown) => {
          throw sqlStateOf(error) === INSUFFICIENT_PRIVILEGE
            ? new GuardNotPermittedError(what, right, asScript(this.statements[what]), error)
            : error;
        });
      }
      await this.auditLog.recordDone(by, { target: this.watched.name, details: {} }, transaction);
    });
  }
}
