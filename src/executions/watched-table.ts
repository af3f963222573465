import type { DataSource } from 'typeorm';
import { clamped, type MomentType } from '../database/moments.js';
import { readWatchedTableLayout, type WatchedTableLayout } from './watched-table-layout.js';

export { NEEDED_COLUMNS } from './watched-table-layout.js';

/**
 * How the watched table is called, and how its kind of timestamp is compared with a moment. There is one for the whole
 * application, and it changes: a host may alter its table while Lapse runs. So SQL is made anew from it for each
 * statement, never kept.
 */
export class WatchedTable {
  /** Quoted and qualified, ready for SQL. */
  readonly name: string;
  private refreshedAt = performance.now();
  private refreshing: Promise<void> | undefined;

  constructor(
    private readonly dataSource: DataSource,
    readonly schema: string,
    private layout: WatchedTableLayout,
  ) {
    this.name = `"${schema}".workflow_executions`;
  }

  /**
   * Looks at the table again, with one query of the catalogue that waits for no lock of the host's. Calls at the same
   * time share it. Where the table doesn't fit any more, what was known of it is kept.
   *
   * @throws WatchedTableMissingError, WatchedTableUnsuitableError
   */
  refresh(): Promise<void> {
    this.refreshing ??= this.readLayout().finally(() => {
      this.refreshing = undefined;
    });
    return this.refreshing;
  }

  /** @throws WatchedTableMissingError, WatchedTableUnsuitableError */
  async refreshIfOlderThan(ms: number): Promise<void> {
    if (performance.now() - this.refreshedAt > ms) {
      await this.refresh();
    }
  }

  get updatedAtType(): MomentType {
    return this.layout.updatedAtType;
  }

  get createdAtType(): MomentType {
    return this.layout.createdAtType;
  }

  /** Whether a row can be without the moment of its last change: then it is never overdue. */
  get updatedAtNullable(): boolean {
    return this.layout.updatedAtNullable;
  }

  get partitioned(): boolean {
    return this.layout.partitioned;
  }

  /** What works, and has consequences that the table's owner should know; each a sentence. */
  get concerns(): readonly string[] {
    return this.layout.concerns;
  }

  /** SQL: the column `created_at` of `alias` as a timestamptz to be shown: see `clamped`. */
  createdAt(alias: string): string {
    return asMoment(clamped(`${alias}.created_at`, this.createdAtType), this.createdAtType);
  }

  /**
   * SQL: the column `updated_at` of `alias` as a timestamptz to be shown or recorded, which is always finite: see
   * `clamped`. A row without a zone means UTC, whatever the session's is.
   */
  updatedAt(alias: string): string {
    return asMoment(clamped(`${alias}.updated_at`, this.updatedAtType), this.updatedAtType);
  }

  /** SQL: the same exactly as it is stored, infinities included, to be compared with what was stored before. */
  rawUpdatedAt(alias: string): string {
    return asMoment(`${alias}.updated_at`, this.updatedAtType);
  }

  /** SQL: a timestamptz expression in the column's own type, so that an index on the column serves the comparison. */
  asUpdatedAt(moment: string): string {
    return this.updatedAtType === 'timestamptz' ? `(${moment})` : `((${moment}) AT TIME ZONE 'UTC')`;
  }

  /** SQL: a text parameter that `updated_at::text` returned, in the column's own type. Microseconds survive. */
  fromText(parameter: string): string {
    return `${parameter}::${this.updatedAtType}`;
  }

  /** SQL: whether the execution is overdue at `cutoff`. The instant of the deadline itself counts. */
  isOverdue(alias: string, cutoff: string, timeoutSeconds: string): string {
    return `${alias}.status = 'suspended' AND ${alias}.updated_at <= ${this.lastOverdue(cutoff, timeoutSeconds)}`;
  }

  /** SQL: whether the execution is suspended and its deadline lies after `cutoff`. */
  isWaiting(alias: string, cutoff: string, timeoutSeconds: string): string {
    return `${alias}.status = 'suspended' AND ${alias}.updated_at > ${this.lastOverdue(cutoff, timeoutSeconds)}`;
  }

  /** SQL: the deadline of an execution, as a timestamptz that is always finite; only a suspended one has one. */
  deadline(alias: string, timeoutSeconds: string): string {
    const timeout = `make_interval(secs => ${timeoutSeconds}::int)`;
    return asMoment(clamped(`${alias}.updated_at`, this.updatedAtType, timeout), this.updatedAtType);
  }

  /**
   * SQL: the execution of each row of `alias`, which has its key in `tenant_id`, `project_id` and `execution_id`; to be
   * joined LATERAL, and compared with that id. Within a short transaction, which sorts nothing, the order leaves the
   * planner no index but the key's: by equality alone it would take any that begins alike where it has no statistics,
   * and read a whole project for each.
   */
  byKeyOf(alias: string): string {
    return `(SELECT e.ctid AS place, e.id, e.status, e.metadata, e.created_at, e.updated_at FROM ${this.name} e
              WHERE e.tenant_id = ${alias}.tenant_id AND e.project_id = ${alias}.project_id AND e.id >= ${alias}.execution_id
              ORDER BY e.id LIMIT 1)`;
  }

  /** SQL: the latest suspension that is overdue at `cutoff`, in the column's own type. */
  private lastOverdue(cutoff: string, timeoutSeconds: string): string {
    return this.asUpdatedAt(`${cutoff}::timestamptz - make_interval(secs => ${timeoutSeconds}::int)`);
  }

  private async readLayout(): Promise<void> {
    this.layout = await readWatchedTableLayout(this.dataSource, this.schema);
    this.refreshedAt = performance.now();
  }
}

/**
 * Looks at the watched table as it really is.
 *
 * @throws WatchedTableMissingError, WatchedTableUnsuitableError
 */
export async function inspectWatchedTable(dataSource: DataSource, schema: string): Promise<WatchedTable> {
  return new WatchedTable(dataSource, schema, await readWatchedTableLayout(dataSource, schema));
}

/**
 * The last cast does nothing, unless the column has become a timestamptz since the table was looked at: then AT TIME ZONE
 * takes the zone away, and the driver would read the rest in the zone of this process. A short transaction is in UTC.
 */
function asMoment(expression: string, type: MomentType): string {
  return type === 'timestamptz' ? `(${expression})` : `((${expression}) AT TIME ZONE 'UTC')::timestamptz`;
}
