import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { queryOnce } from '../database/short-transaction.js';
import { LOCK_NOT_AVAILABLE, sqlStateOf } from '../database/sql-state.js';
import { WatchedTable } from './watched-table.js';

const SERVING = [
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
] as const;

/** An index that sweeping wants, with the commands that create it where it is missing: one for each partition. */
interface MissingIndex {
  purpose: string;
  commands: string[];
}

interface FoundIndex {
  /** Qualified, and quoted where it has to be. */
  table: string;
  /** The bare name of the same table. */
  name: string;
  columns: string[] | null;
  predicate: string | null;
}

const LIMITS = { statementTimeout: 5_000, lockTimeout: 1_000 };

/** Finds out which indexes sweeping wants, since only the owner of the watched table may create them. */
@Injectable()
export class WatchedTableIndexes implements OnApplicationBootstrap {
  private readonly logger = new Logger('WatchedTable');

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly watched: WatchedTable,
  ) {}

  /** Whether an index is missing is only said: a table that is locked just now doesn't keep the service from starting. */
  async onApplicationBootstrap(): Promise<void> {
    for (const concern of this.watched.concerns) {
      this.logger.warn(`${this.watched.name}: ${concern}`);
    }
    for (const { purpose, commands } of (await this.missingUnlessLocked()) ?? []) {
      this.logger.warn(
        `An index for ${purpose} is missing: each reads the whole table. To create it: ${commands.join('; ')};`,
      );
    }
  }

  /** Undefined if the table is locked: PostgreSQL opens it to write down the condition of an index. */
  async missingUnlessLocked(): Promise<MissingIndex[] | undefined> {
    return this.missing().catch((error: unknown) => {
      if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE) {
        throw error;
      }
      return undefined;
    });
  }

  async missing(): Promise<MissingIndex[]> {
    const indexes = await this.indexesOfEachPartition();
    const tables = new Map(indexes.map(({ table, name }) => [table, name]));
    return SERVING.map(({ purpose, suffix, columns }) => ({
      purpose,
      commands: [...tables]
        .filter(([table]) => !indexes.some((index) => index.table === table && serves(index, columns)))
        .map(([table, name]) => createIndex(table, `${name}_${suffix}`, columns)),
    })).filter(({ commands }) => commands.length > 0);
  }

  /** One row per valid index of each table that holds rows; a table without any comes with null columns. */
  private indexesOfEachPartition(): Promise<FoundIndex[]> {
    return queryOnce(
      this.dataSource,
      LIMITS,
      `SELECT format('%I.%I', n.nspname, c.relname) AS table, c.relname AS name, pg_get_expr(i.indpred, i.indrelid) AS predicate,
              (SELECT array_agg(a.attname::text ORDER BY k.place)
                 FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                WHERE k.place <= i.indnkeyatts) AS columns
         FROM (SELECT $1::regclass AS relid WHERE NOT $2::boolean
               UNION ALL SELECT relid FROM pg_partition_tree($1::regclass) WHERE isleaf AND $2::boolean) leaf
         JOIN pg_class c ON c.oid = leaf.relid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_index i ON i.indrelid = leaf.relid AND i.indisvalid`,
      [this.watched.name, this.watched.partitioned],
    );
  }
}

/** Partial on suspended rows, or whole and led by the status: PostgreSQL can walk either in the order of a sweep. */
function serves(index: FoundIndex, columns: readonly string[]): boolean {
  const found = index.columns ?? [];
  const isPartial = /^\(?\(?\(?status\)?(::text)? = 'suspended'/.test(index.predicate ?? '');
  const wanted = isPartial ? columns : ['status', ...columns];
  return (isPartial || index.predicate === null) && wanted.every((column, at) => found[at] === column);
}

function createIndex(table: string, index: string, columns: readonly string[]): string {
  const name = /^[a-z_][a-z0-9_]{0,62}$/.test(index) ? index : `"${index.replaceAll('"', '')}"`;
  return `CREATE INDEX CONCURRENTLY ${name} ON ${table} (${columns.join(', ')}) WHERE status = 'suspended'`;
}
