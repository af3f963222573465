import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { queryAll, queryOnce, type TransactionLimits } from '../database/short-transaction.js';
import { INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE, QUERY_CANCELED, sqlStateOf } from '../database/sql-state.js';
import { WatchedTable } from './watched-table.js';
import { type PlanNode, type Relation, unservedRelations } from './watched-table-plan.js';

interface Sweep {
  purpose: string;
  /** Of the name of the recommended index. */
  suffix: string;
  columns: readonly string[];
}

const SWEEPS: readonly Sweep[] = [
  {
    purpose: 'sweeps of the whole platform',
    suffix: 'suspended',
    columns: ['updated_at', 'tenant_id', 'project_id', 'id'],
  },
  {
    purpose: 'sweeps of one tenant',
    suffix: 'suspended_by_tenant',
    columns: ['tenant_id', 'updated_at', 'project_id', 'id'],
  },
];

/** An index that sweeping wants, with the commands that create it: for each table or partition that lacks it. */
export interface MissingIndex {
  purpose: string;
  commands: string[];
}

/** Why nothing can be said of the indexes. */
export type Unknown = 'locked' | 'not permitted' | 'too slow';

/** Planning a statement on thousands of partitions takes seconds. */
const LIMITS: TransactionLimits = { statementTimeout: 10_000, lockTimeout: 1_000, plans: 'any' };

/**
 * Leaves the planner nothing but an index, if one serves: on a small table it would read the whole, whatever indexes there
 * are.
 */
const PLAN_SETTINGS = `
  SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_tidscan = off;
  SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on;
  SET LOCAL enable_partition_pruning = on; SET LOCAL max_parallel_workers_per_gather = 0`;

const MAX_NAME_LENGTH = 63;

/**
 * Finds out which indexes sweeping lacks, since only the owner of the watched table may create them. PostgreSQL is asked
 * how it would run a sweep's search: an index that looks right by its name or its columns may still not serve it.
 */
@Injectable()
export class WatchedTableIndexes implements OnApplicationBootstrap {
  private readonly logger = new Logger('WatchedTable');

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly watched: WatchedTable,
  ) {}

  /** A missing index is only a warning, and a table that can't be looked at just now doesn't keep the service from starting. */
  async onApplicationBootstrap(): Promise<void> {
    for (const concern of this.watched.concerns) {
      this.logger.warn(`${this.watched.name}: ${concern}`);
    }
    const missing = await this.missingIfKnown();
    for (const { purpose, commands } of typeof missing === 'string' ? [] : missing) {
      this.logger.warn(`No index serves ${purpose}: each reads the whole table. To create it: ${commands.join('; ')};`);
    }
  }

  async missingIfKnown(): Promise<MissingIndex[] | Unknown> {
    try {
      return await this.missing();
    } catch (error) {
      switch (sqlStateOf(error)) {
        case LOCK_NOT_AVAILABLE:
          return 'locked';
        case INSUFFICIENT_PRIVILEGE:
          return 'not permitted';
        case QUERY_CANCELED:
          return 'too slow';
        default:
          throw error;
      }
    }
  }

  async missing(): Promise<MissingIndex[]> {
    const missing: MissingIndex[] = [];
    for (const sweep of SWEEPS) {
      const commands: string[] = [];
      for (const relation of await this.unservedBy(sweep)) {
        commands.push(...(await this.commandsFor(relation, sweep)));
      }
      if (commands.length > 0) {
        missing.push({ purpose: sweep.purpose, commands });
      }
    }
    return missing;
  }

  /**
   * The tables and partitions that are read without an index in the order of the sweep, whether sorting is allowed or not.
   * If it is, PostgreSQL sorts only the partitions for which it has to, but also the few rows of another index if that is
   * cheaper. If it is not, it uses the index that serves, but for one partition without any it may sort all.
   */
  private async unservedBy(sweep: Sweep): Promise<Relation[]> {
    const sorted = unservedRelations(await this.planOf(sweep, 'on'));
    if (sorted.length === 0) {
      return [];
    }
    const unsorted = unservedRelations(await this.planOf(sweep, 'off'));
    return sorted.filter(({ schema, name }) =>
      unsorted.some((other) => other.schema === schema && other.name === name),
    );
  }

  /**
   * Of the search of a sweep: see OverdueExecutionsRepository. That of one tenant is asked for in the order of all tenants:
   * with a tenant given, an index that begins with another column would seem to do, and be walked through all tenants.
   */
  private async planOf({ columns }: Sweep, sorting: 'on' | 'off'): Promise<PlanNode> {
    const { watched } = this;
    const start = columns.map((column) => (column === 'updated_at' ? watched.asUpdatedAt('to_timestamp(0)') : `''`));
    const sorted = columns.map((column) => `e.${column}`).join(', ');
    const [row] = await queryAll<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(this.dataSource, LIMITS, [
      [`${PLAN_SETTINGS}; SET LOCAL enable_sort = ${sorting}`],
      [
        `EXPLAIN (FORMAT JSON, VERBOSE)
         SELECT FROM ${watched.name} e
          WHERE ${watched.isOverdue('e', 'now()', '1')} AND (${sorted}) > (${start.join(', ')})
          ORDER BY ${sorted} LIMIT 1`,
      ],
    ]);
    return (row as { 'QUERY PLAN': [{ Plan: PlanNode }] })['QUERY PLAN'][0].Plan;
  }

  /** An index of that name that PostgreSQL could not finish has to go first; another one keeps its name. */
  private async commandsFor({ schema, name }: Relation, { suffix, columns }: Sweep): Promise<string[]> {
    const names = ['', '_2', '_3', '_4'].map((number) => nameOf(name, `_${suffix}${number}`));
    const taken = await queryOnce<{ name: string; unfinished: boolean }>(
      this.dataSource,
      LIMITS,
      `SELECT c.relname AS name, coalesce(NOT i.indisvalid AND t.relname = $3 AND t.relkind <> 'p', false) AS unfinished
         FROM pg_catalog.pg_class c
         LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
         LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
        WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relname = ANY ($2::text[])`,
      [schema, names, name],
    );
    const free = names.find((candidate) => !taken.some((other) => other.name === candidate && !other.unfinished));
    const index = free ?? (names[0] as string);
    const on = `${quoted(schema)}.${quoted(name)}`;
    const create = `CREATE INDEX CONCURRENTLY ${quoted(index)} ON ${on} (${columns.join(', ')}) WHERE status = 'suspended'`;
    return taken.some((other) => other.name === index && other.unfinished)
      ? [`DROP INDEX CONCURRENTLY ${quoted(schema)}.${quoted(index)}`, create]
      : [create];
  }
}

/** PostgreSQL would cut a longer name at its end, where the names of two indexes differ. */
function nameOf(table: string, suffix: string): string {
  return table.replaceAll('"', '').slice(0, MAX_NAME_LENGTH - suffix.length) + suffix;
}

function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
