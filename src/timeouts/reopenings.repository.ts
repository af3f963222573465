import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, QueryRunner } from 'typeorm';
import type { TenantScope } from '../access/tenant-scope.js';
import { schemaOf } from '../database/schema-of.js';
import { inScope } from '../database/sql-conditions.js';
import { SqlParameters } from '../database/sql-parameters.js';
import { WatchedTable } from '../executions/watched-table.js';
import { isInLane, type Lane } from '../sweeps/lane.js';
import { isTimedOut, MARKERS } from '../sweeps/timeout-markers.js';
import { REOPENING_SETTING } from './late-approval-guard.sql.js';

/** `changed_since`: the execution isn't as we left it; `gone`: it isn't there any more. */
export const REOPEN_OUTCOMES = ['reopened', 'changed_since', 'gone', 'already_reopened'] as const;
export type ReopenOutcome = (typeof REOPEN_OUTCOMES)[number];

/** Which ledger rows: one, or those of a sweep after a position, in the order of their ids. */
export type Reopened = { timeoutId: string } | (Place & { limit: number });

/** A position among the timeouts of a sweep that fall to one lane of an undo. */
export interface Place {
  sweepId: string;
  lane: Lane;
  /** Null: before the first. */
  after: string | null;
}

/** Who reopens and why; `undoId` where it is done by the undo of a sweep, in whose record the outcomes are counted. */
export interface Reopening {
  by: string;
  reason: string;
  undoId: string | null;
}

export interface ReopenResult {
  /** How many ledger rows there were. */
  found: number;
  /** The last of them, in the order of their ids; null where there was none. */
  last: { id: string; outcome: ReopenOutcome } | null;
  /** Claimed by us and yet unchanged: something in the host's table suppressed the update. */
  suppressed: number;
  /** Of the undo. */
  cancelRequested: boolean;
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
    which: Reopened,
    { by, reason, undoId }: Reopening,
    transaction: QueryRunner,
  ): Promise<ReopenResult> {
    const { watched, schema } = this;
    const parameters = new SqlParameters();
    const [row] = await transaction.query(
      `WITH candidates AS MATERIALIZED (
        SELECT t.* FROM ${schema}.timeouts t
         WHERE ${[this.isOneOf(which, parameters), ...inScope(scope, parameters, 't')].join(' AND ')}
         ORDER BY t.id LIMIT ${'limit' in which ? which.limit : 1}
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
         WHERE f.reopened_at IS NULL AND ${this.isAsLeft('f')}
           FOR NO KEY UPDATE OF e
      ),
      reopened AS (
        UPDATE ${watched.name} e
           SET status = 'suspended', updated_at = moment.updated_at,
               metadata = CASE WHEN claimed.original_metadata IS NULL
                               THEN e.metadata - ${MARKERS}
                               ELSE claimed.original_metadata -> 0 END
          FROM claimed CROSS JOIN moment
         WHERE e.ctid = claimed.place AND ${isSame('e', 'claimed')} AND ${this.isAsLeft('claimed')}
        RETURNING claimed.timeout_id
      ),
      recorded AS (
        UPDATE ${schema}.timeouts t
           SET reopened_at = statement_timestamp(), reopened_by = ${parameters.add(by)},
               reopen_reason = ${parameters.add(reason)}, undo_id = ${parameters.add(undoId)}::uuid
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
      kept AS (${this.keepOutcomes('SELECT id, outcome, NULL FROM outcomes', undoId, parameters)}),
      counted AS (
        UPDATE ${schema}.sweeps s
           SET reopened = s.reopened + n.reopened, changed_since = s.changed_since + n.changed_since,
               gone = s.gone + n.gone, already_reopened = s.already_reopened + n.already_reopened
          FROM (SELECT ${REOPEN_OUTCOMES.map((outcome) => `count(*) FILTER (WHERE outcome = '${outcome}') AS ${outcome}`)}
                  FROM outcomes) n
         WHERE s.id = ${parameters.add(undoId)}::uuid
        RETURNING s.cancel_requested_at IS NOT NULL AS cancel_requested
      )
      SELECT (SELECT count(*)::int FROM outcomes) AS found,
             (SELECT to_json(last) FROM (SELECT id, outcome FROM outcomes ORDER BY id DESC LIMIT 1) last) AS last,
             (SELECT count(*)::int FROM claimed) - (SELECT count(*)::int FROM reopened) AS suppressed,
             coalesce((SELECT cancel_requested FROM counted), false) AS "cancelRequested"`,
      parameters.values,
    );
    return row;
  }

  /** The ledger row of a sweep that comes after a position; null where none is left. */
  async next(scope: TenantScope, place: Place, transaction: QueryRunner): Promise<string | null> {
    const parameters = new SqlParameters();
    const [row] = await transaction.query(
      `SELECT t.id FROM ${this.schema}.timeouts t
        WHERE ${[this.isOneOf(place, parameters), ...inScope(scope, parameters, 't')].join(' AND ')}
        ORDER BY t.id LIMIT 1`,
      parameters.values,
    );
    return row?.id ?? null;
  }

  /** Records that an execution could not be reopened, and counts it in the record of the undo. */
  async recordFailure(
    scope: TenantScope,
    { timeoutId, undoId, reason }: { timeoutId: string; undoId: string; reason: string },
    transaction: QueryRunner,
  ): Promise<{ cancelRequested: boolean }> {
    const parameters = new SqlParameters();
    const failed = `SELECT t.id, 'failed', ${parameters.add(reason)}::text FROM ${this.schema}.timeouts t
                     WHERE ${[this.isOneOf({ timeoutId }, parameters), ...inScope(scope, parameters, 't')].join(' AND ')}`;
    const [[row]] = await transaction.query(
      `WITH kept AS (${this.keepOutcomes(failed, undoId, parameters)})
       UPDATE ${this.schema}.sweeps SET failed = failed + 1 WHERE id = ${parameters.add(undoId)}::uuid
       RETURNING cancel_requested_at IS NOT NULL AS "cancelRequested"`,
      parameters.values,
    );
    return row;
  }

  private keepOutcomes(outcomes: string, undoId: string | null, parameters: SqlParameters): string {
    return `INSERT INTO ${this.schema}.undo_outcomes (timeout_id, outcome, failure, undo_id)
      SELECT o.*, undo.id FROM (${outcomes}) o, (SELECT ${parameters.add(undoId)}::uuid AS id) undo WHERE undo.id IS NOT NULL`;
  }

  /** SQL: whether the execution `e` is still as the timeout `alias` left it. */
  private isAsLeft(alias: string): string {
    return `e.status = 'failed' AND ${isTimedOut('e.metadata')}
            AND e.metadata ->> 'sweepId' = ${alias}.sweep_id::text
            AND ${this.watched.updatedAt('e')} = ${alias}.timed_out_at`;
  }

  private isOneOf(which: { timeoutId: string } | Place, parameters: SqlParameters): string {
    if ('timeoutId' in which) {
      return `t.id = ${parameters.add(which.timeoutId)}::uuid`;
    }
    const after = which.after === null ? 'true' : `t.id > ${parameters.add(which.after)}::uuid`;
    return `t.sweep_id = ${parameters.add(which.sweepId)}::uuid AND ${after} AND ${isInLane(which.lane, 't.id')}`;
  }
}

/** SQL: whether a row of the watched table is the execution of a timeout. */
function isSame(execution: string, timeout: string): string {
  return `${execution}.tenant_id = ${timeout}.tenant_id AND ${execution}.project_id = ${timeout}.project_id
          AND ${execution}.id = ${timeout}.execution_id`;
}
