import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { schemaOf } from '../database/schema-of.js';
import { inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { WatchedTable } from '../executions/watched-table.js';
import type { BatchMark, BatchOutcome } from '../sweeps/batch-job.js';
import { FIRE_DEFERRED_TRIGGERS, hasAfterTriggers, readBackReopened } from '../sweeps/host-triggers.sql.js';
import { countBatchSql } from '../sweeps/sweep-counts.sql.js';
import { MARKERS } from '../sweeps/timeout-markers.js';
import { isAsLeft } from './as-left.sql.js';
import { REOPENING_SETTING } from './late-approval-guard.sql.js';

/** `changed_since`: the execution isn't as we left it; `gone`: it isn't there any more. */
export const REOPEN_OUTCOMES = ['reopened', 'changed_since', 'gone', 'already_reopened'] as const;
export type ReopenOutcome = (typeof REOPEN_OUTCOMES)[number];

/** A ledger row that an undo finds. */
export interface FoundTimeout {
  id: string;
  tenantId: string;
}

/** Who reopens and why. */
export interface Reopening {
  by: string;
  reason: string;
  /** The undo that does it, and the batch under which the outcomes are counted; null if a single timeout is reopened. */
  undo: { id: string; mark: BatchMark } | null;
}

export interface ReopenResult {
  /** How many ledger rows there were. */
  found: number;
  /** Of the last of them, in the order of their ids; null if there was none. */
  outcome: ReopenOutcome | null;
  /** Claimed by us and yet unchanged: something in the host's table suppressed the update. */
  suppressed: number;
  /** As of a BatchOutcome; true if a single timeout is reopened. */
  counted: boolean;
}

/** Takes timeouts back. */
@Injectable()
export class ReopeningsRepository {
  private readonly schema: string;

  constructor(
    @InjectDataSource() dataSource: DataSource,
    private readonly watched: WatchedTable,
  ) {
    this.schema = schemaOf(dataSource);
  }

  /**
   * Reopens executions, and records it, in one statement: suspended from now on, with the metadata that they had.
   *
   * The ledger rows are locked before the executions, here as everywhere, so that of two who reopen the same the second
   * finds it reopened. An execution is claimed only while it is as we left it: failed, with this sweep's marker, and
   * unchanged to the microsecond; the update repeats that. The guard lets a transaction pass whose id is in its
   * setting. It fires before each row is updated, and by then `moment` has been read, because the update takes its time
   * from there; a guard of an older version looks at `lapse.reopening`. What became of each is looked up with IN, which is hashed: of
   * a join the planner would make a loop in a loop, since it can't know how long a list of candidates is.
   */
  async reopen(
    scope: TenantScope,
    timeoutIds: readonly string[],
    { by, reason, undo }: Reopening,
    transaction: QueryRunner,
  ): Promise<ReopenResult> {
    const { watched, schema } = this;
    const parameters = new SqlParameters();
    const [{ toReadBack, ...result }] = await transaction.query(
      `WITH candidates AS MATERIALIZED (
        SELECT t.* FROM ${schema}.timeouts t
         WHERE ${[`t.id = ANY (${parameters.add(timeoutIds)}::uuid[])`, ...inScope(scope, parameters, 't')].join(' AND ')}
         ORDER BY t.id
           FOR NO KEY UPDATE OF t
      ),
      moment AS MATERIALIZED (
        SELECT ${watched.asUpdatedAt('statement_timestamp()')} AS updated_at,
               set_config('${REOPENING_SETTING}', pg_current_xact_id()::text, true), set_config('lapse.reopening', 'on', true)
      ),
      found AS MATERIALIZED (
        SELECT c.*, e.place FROM candidates c CROSS JOIN LATERAL ${watched.byKeyOf('c')} e WHERE e.id = c.execution_id
      ),
      claimed AS MATERIALIZED (
        SELECT f.*, f.id AS timeout_id
          FROM found f
          JOIN ${watched.name} e ON e.ctid = f.place AND ${isSame('e', 'f')}
         WHERE f.reopened_at IS NULL AND ${isAsLeft(watched, 'f')}
           FOR NO KEY UPDATE OF e
      ),
      updated AS (
        UPDATE ${watched.name} e
           SET status = 'suspended', updated_at = moment.updated_at,
               metadata = CASE WHEN claimed.original_metadata IS NULL
                               THEN e.metadata - ${MARKERS}
                               ELSE claimed.original_metadata -> 0 END
          FROM claimed CROSS JOIN moment
         WHERE e.ctid = claimed.place AND ${isSame('e', 'claimed')} AND ${isAsLeft(watched, 'claimed')}
        RETURNING claimed.timeout_id, e.status
      ),
      reopened AS MATERIALIZED (SELECT timeout_id FROM updated WHERE status <> 'failed'),
      recorded AS (
        UPDATE ${schema}.timeouts t
           SET reopened_at = statement_timestamp(), reopened_by = ${parameters.add(by)},
               reopen_reason = ${parameters.add(reason)}, undo_id = ${parameters.add(undo?.id ?? null)}::uuid
         WHERE t.id = ANY (ARRAY(SELECT timeout_id FROM reopened))
      ),
      outcomes AS MATERIALIZED (
        SELECT c.id, CASE
                 WHEN c.reopened_at IS NOT NULL THEN 'already_reopened'
                 WHEN c.id IN (SELECT timeout_id FROM reopened) THEN 'reopened'
                 WHEN c.id IN (SELECT id FROM found) THEN 'changed_since'
                 ELSE 'gone' END AS outcome
          FROM candidates c
      ),
      ${COUNT_OUTCOMES}${undo ? `, ${this.recordOutcomes(undo, parameters)}` : ''}
      SELECT n.found, (SELECT outcome FROM outcomes ORDER BY id DESC LIMIT 1) AS outcome,
             (SELECT count(*)::int FROM claimed) - (SELECT count(*)::int FROM reopened) AS suppressed,
             ${undo ? 'EXISTS (SELECT FROM counted)' : 'true'} AS counted,
             CASE WHEN ${hasAfterTriggers(watched)} THEN ARRAY(SELECT timeout_id FROM reopened) END AS "toReadBack"
        FROM n`,
      parameters.values,
    );
    return result.counted && toReadBack?.length ? this.readBack(result, toReadBack, transaction) : result;
  }

  /** An execution that a trigger of the host has failed again within our transaction was not reopened. */
  private async readBack(result: ReopenResult, timeoutIds: string[], transaction: QueryRunner): Promise<ReopenResult> {
    await transaction.query(FIRE_DEFERRED_TRIGGERS);
    const sql = readBackReopened(this.watched, this.schema, '$1::uuid[]');
    const [{ suppressed }] = await transaction.query(sql, [timeoutIds]);
    return { ...result, suppressed: result.suppressed + suppressed };
  }

  /** Records that an execution could not be reopened, and counts it. */
  async recordFailure(
    scope: TenantScope,
    { timeoutId, undo, reason }: { timeoutId: string; undo: { id: string; mark: BatchMark }; reason: string },
    transaction: QueryRunner,
  ): Promise<BatchOutcome> {
    const parameters = new SqlParameters();
    const undoId = `${parameters.add(undo.id)}::uuid`;
    const ofTimeout = [`t.id = ${parameters.add(timeoutId)}::uuid`, ...inScope(scope, parameters, 't')].join(' AND ');
    const [row] = await transaction.query(
      `WITH kept AS (
         INSERT INTO ${this.schema}.undo_outcomes (timeout_id, outcome, failure, undo_id)
         SELECT t.id, 'failed', ${parameters.add(reason)}::text, ${undoId} FROM ${this.schema}.timeouts t WHERE ${ofTimeout}),
       counted AS (${countBatchSql(
         this.schema,
         { sweepId: undoId, mark: undo.mark },
         { done: '1', failed: '1' },
         '(SELECT) one',
         parameters,
       )})
       SELECT EXISTS (SELECT FROM counted) AS counted`,
      parameters.values,
    );
    return { done: 1, suppressed: 0, counted: row.counted };
  }

  /** SQL: CTEs that keep what became of each timeout for the record of the undo. */
  private recordOutcomes({ id, mark }: { id: string; mark: BatchMark }, parameters: SqlParameters): string {
    const undoId = `${parameters.add(id)}::uuid`;
    return `
      kept AS (
        INSERT INTO ${this.schema}.undo_outcomes (timeout_id, outcome, undo_id) SELECT id, outcome, ${undoId} FROM outcomes
      ),
      ${countUndoSql(this.schema, { sweepId: undoId, mark }, parameters)}`;
  }
}

/** SQL: a CTE `n` that counts the `outcomes` of the one before it. */
export const COUNT_OUTCOMES = `
  n AS (
    SELECT count(*)::int AS found,
           ${REOPEN_OUTCOMES.map((outcome) => `(count(*) FILTER (WHERE outcome = '${outcome}'))::int AS ${outcome}`)}
      FROM outcomes
  )`;

/** SQL: a CTE `counted` that adds what `n` has counted to the counts of the undo. */
export function countUndoSql(
  schema: string,
  undo: { sweepId: string; mark: BatchMark },
  parameters: SqlParameters,
): string {
  const counts = Object.fromEntries(REOPEN_OUTCOMES.map((outcome) => [outcome, `n.${outcome}`]));
  return `counted AS (${countBatchSql(schema, undo, { done: 'n.found', ...counts }, 'n', parameters)})`;
}

/** SQL: whether a row of the watched table is the execution of a timeout. */
function isSame(execution: string, timeout: string): string {
  return `${execution}.tenant_id = ${timeout}.tenant_id AND ${execution}.project_id = ${timeout}.project_id
          AND ${execution}.id = ${timeout}.execution_id`;
}
