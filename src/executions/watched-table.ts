import type { DataSource } from 'typeorm';
import { WatchedTableMissingError, WatchedTableUnsuitableError } from './watched-table.errors.js';

/** What Lapse reads. */
export const NEEDED_COLUMNS = [
  'tenant_id',
  'project_id',
  'id',
  'agent_id',
  'conversation_id',
  'request_id',
  'status',
  'metadata',
  'created_at',
  'updated_at',
] as const;

/** How the watched table is called, and how its kind of timestamp is compared with a moment. */
export class WatchedTable {
  /** Quoted and qualified, ready for SQL. */
  readonly name: string;

  constructor(
    readonly schema: string,
    private readonly updatedAtHasZone: boolean,
    private readonly createdAtHasZone: boolean,
    readonly partitioned: boolean,
  ) {
    this.name = `"${schema}".workflow_executions`;
  }

  async refresh(): Promise<void> {}

  get updatedAtType(): 'timestamptz' | 'timestamp' {
    return this.updatedAtHasZone ? 'timestamptz' : 'timestamp';
  }

  get createdAtType(): 'timestamptz' | 'timestamp' {
    return this.createdAtHasZone ? 'timestamptz' : 'timestamp';
  }

  /** SQL: the column `created_at` of `alias` as a timestamptz. */
  createdAt(alias: string): string {
    return this.createdAtHasZone ? `${alias}.created_at` : `(${alias}.created_at AT TIME ZONE 'UTC')`;
  }

  /** SQL: the column `updated_at` of `alias` as a timestamptz. A row without a zone means UTC, whatever the session's is. */
  updatedAt(alias: string): string {
    return this.updatedAtHasZone ? `${alias}.updated_at` : `(${alias}.updated_at AT TIME ZONE 'UTC')`;
  }

  /** SQL: a timestamptz expression in the column's own type, so that an index on the column serves the comparison. */
  asUpdatedAt(moment: string): string {
    return this.updatedAtHasZone ? `(${moment})` : `((${moment}) AT TIME ZONE 'UTC')`;
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

  /** SQL: the deadline of an execution, as a timestamptz; only a suspended one has one. */
  deadline(alias: string, timeoutSeconds: string): string {
    return `${this.updatedAt(alias)} + make_interval(secs => ${timeoutSeconds}::int)`;
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
}

/**
 * Looks at the watched table as it really is.
 *
 * @throws WatchedTableMissingError, WatchedTableUnsuitableError
 */
export async function inspectWatchedTable(dataSource: DataSource, schema: string): Promise<WatchedTable> {
  const columns: { name: string; type: string; kind: string }[] = await dataSource.query(
    `SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type, c.relkind AS kind
       FROM pg_class c
       JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE n.nspname = $1 AND c.relname = 'workflow_executions' AND c.relkind IN ('r', 'p')`,
    [schema],
  );
  if (columns.length === 0) {
    throw new WatchedTableMissingError(schema);
  }
  const types = new Map(columns.map(({ name, type }) => [name, type]));
  const faults = [...missingColumns(types), ...wrongTypes(types)];
  if (faults.length > 0) {
    throw new WatchedTableUnsuitableError(schema, faults);
  }
  const hasZone = (column: string) => types.get(column) === 'timestamp with time zone';
  return new WatchedTable(schema, hasZone('updated_at'), hasZone('created_at'), columns[0]?.kind === 'p');
}

function missingColumns(types: ReadonlyMap<string, string>): string[] {
  const missing = NEEDED_COLUMNS.filter((name) => !types.has(name));
  return missing.length > 0 ? [`columns are missing: ${missing.join(', ')}`] : [];
}

function wrongTypes(types: ReadonlyMap<string, string>): string[] {
  const moments = (['created_at', 'updated_at'] as const)
    .map((column) => ({ column, type: types.get(column) ?? 'timestamp without time zone' }))
    .filter(({ type }) => !type.startsWith('timestamp'));
  const metadata = types.get('metadata') ?? 'jsonb';
  return [
    ...moments.map(({ column, type }) => `${column} is ${type}, and must be timestamp or timestamptz`),
    ...(metadata === 'jsonb' ? [] : [`metadata is ${metadata}, and must be jsonb`]),
  ];
}
