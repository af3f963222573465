import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, QueryRunner } from 'typeorm';
import type { Caller } from '../access/principal.js';
import { AuditLogService } from '../audit/audit-log.service.js';
import { schemaOf } from '../database/schema-of.js';
import { inShortTransaction } from '../database/short-transaction.js';
import { INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE, sqlStateOf } from '../database/sql-state.js';
import { WatchedTable } from '../executions/watched-table.js';
import { type GuardCatalog, readGuardCatalog } from './late-approval-guard.catalog.js';
import {
  asScript,
  GUARD_LOCK_TIMEOUT_MS,
  type GuardStatement,
  installGuard,
  removeGuard,
} from './late-approval-guard.sql.js';
import { examineGuard, type GuardReport, type GuardState, reportOnGuard } from './late-approval-guard.state.js';
import { GuardIneffectiveError, GuardNotPermittedError, WatchedTableBusyError } from './timeouts.errors.js';

const MAX_ATTEMPTS = 10;
const RETRY_DELAY_MS = 500;

/** A table of a thousand partitions gets a thousand triggers. */
const LIMITS = { statementTimeout: 30_000, lockTimeout: GUARD_LOCK_TIMEOUT_MS };

/**
 * A trigger on the watched table that refuses to move an execution which Lapse timed out to any other status, so that a
 * late approval which updates by key alone can't bring it back. It is opt-in, because the table is the host's.
 */
@Injectable()
export class LateApprovalGuard {
  private readonly schema: string;
  private readonly statements: { install: GuardStatement[]; remove: GuardStatement[] };

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly watched: WatchedTable,
    private readonly auditLog: AuditLogService,
  ) {
    this.schema = schemaOf(dataSource);
    const schemas = { watched: `"${watched.schema}"`, lapse: this.schema };
    this.statements = { install: installGuard(schemas), remove: removeGuard(schemas) };
  }

  /**
   * Installing it again brings it up to date. It is tried before the transaction commits.
   *
   * @throws GuardIneffectiveError, GuardNotPermittedError, WatchedTableBusyError
   */
  async install(by: Caller): Promise<void> {
    await this.change(by, async (transaction) => {
      const { obstacle, lackedRight } = await readGuardCatalog(transaction, this.watched);
      if (obstacle !== null) {
        throw new GuardIneffectiveError(this.watched.name, obstacle);
      }
      this.assertPermitted('install', lackedRight);
      await this.run('install', transaction);
      const { state, reason } = await reportOnGuard(transaction, this.watched, this.schema);
      if (state !== 'installed') {
        throw new GuardIneffectiveError(this.watched.name, reason ?? `its state is "${state}"`);
      }
    });
  }

  /** Removing what isn't there changes nothing. @throws GuardNotPermittedError, WatchedTableBusyError */
  async remove(by: Caller): Promise<void> {
    await this.change(by, async (transaction) => {
      const { state, lackedRight } = await readGuardCatalog(transaction, this.watched);
      if (state !== 'missing') {
        this.assertPermitted('remove', lackedRight);
      }
      await this.run('remove', transaction);
    });
  }

  /** What `examine` reports, in one word. */
  async status(): Promise<GuardState> {
    return (await this.examine()).state;
  }

  /** Tries a late approval, and rolls it back. */
  examine(): Promise<GuardReport> {
    return examineGuard(this.dataSource, this.watched);
  }

  /** Creating or dropping a trigger waits for every writer; it gives up quickly, so that nobody waits behind it. */
  private async change(by: Caller, work: (transaction: QueryRunner) => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await inShortTransaction(this.dataSource, LIMITS, async (transaction) => {
          await work(transaction);
          await this.auditLog.recordDone(by, { target: this.watched.name, details: {} }, transaction.manager);
        });
      } catch (error) {
        if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE) {
          throw error;
        }
        if (attempt === MAX_ATTEMPTS) {
          throw new WatchedTableBusyError(this.watched.name, error);
        }
        await delay(RETRY_DELAY_MS);
      }
    }
  }

  private assertPermitted(what: 'install' | 'remove', lackedRight: GuardCatalog['lackedRight']): void {
    const right = lackedRight[what];
    if (right !== null) {
      throw new GuardNotPermittedError(what, right, asScript(this.statements[what]));
    }
  }

  private async run(what: 'install' | 'remove', transaction: QueryRunner): Promise<void> {
    for (const { sql, right } of this.statements[what]) {
      await transaction.query(sql).catch((error: unknown) => {
        throw sqlStateOf(error) === INSUFFICIENT_PRIVILEGE
          ? new GuardNotPermittedError(what, right, asScript(this.statements[what]), error)
          : error;
      });
    }
  }
}
