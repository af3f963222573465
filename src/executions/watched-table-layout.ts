import type { DataSource } from 'typeorm';
import type { MomentType } from '../database/moments.js';
import { queryOnce } from '../database/short-transaction.js';
import { WatchedTableMissingError, WatchedTableUnsuitableError } from './watched-table.errors.js';

const TEXT = ['text', 'character varying'];
const MOMENT = ['timestamp without time zone', 'timestamp with time zone'];
const ALLOWED = {
  text: { types: TEXT, shown: 'text or varchar' },
  moment: { types: MOMENT, shown: 'timestamp or timestamptz' },
  jsonb: { types: ['jsonb'], shown: 'jsonb' },
} as const;

/** What Lapse reads, and what each column may be. A domain counts as what it is over. */
const COLUMNS = {
  tenant_id: 'text',
  project_id: 'text',
  id: 'text',
  agent_id: 'text',
  conversation_id: 'text',
  request_id: 'text',
  status: 'text',
  created_at: 'moment',
  updated_at: 'moment',
  metadata: 'jsonb',
} as const satisfies Record<string, keyof typeof ALLOWED>;

export const NEEDED_COLUMNS = Object.keys(COLUMNS) as (keyof typeof COLUMNS)[];

const KEY = ['tenant_id', 'project_id', 'id'];
const WRITTEN = ['status', 'updated_at', 'metadata'];

const LIMITS = { statementTimeout: 5_000, lockTimeout: 1_000 };

/** What of the watched table may differ from host to host. */
export interface WatchedTableLayout {
  updatedAtType: MomentType;
  createdAtType: MomentType;
  updatedAtNullable: boolean;
  partitioned: boolean;
  /** What works, and has consequences that its owner should know; each a sentence. */
  concerns: readonly string[];
}

interface FoundColumn {
  name: string;
  /** As declared, with its length or precision. */
  declared: string;
  /** What a domain is over in the end; otherwise the type itself, without length or precision. */
  type: string;
  isDomain: boolean;
  notNull: boolean;
  isGenerated: boolean;
  /** The name of a collation under which different texts can be equal; null for all others. */
  looseCollation: string | null;
}

interface FoundTable {
  kind: string;
  /** Whether no two rows can have the same tenant_id, project_id and id. */
  hasUniqueKey: boolean;
  columns: FoundColumn[];
}

/**
 * Reads the catalogue, which waits for no lock on the table itself.
 *
 * @throws WatchedTableMissingError, WatchedTableUnsuitableError
 */
export async function readWatchedTableLayout(dataSource: DataSource, schema: string): Promise<WatchedTableLayout> {
  const parameters = [schema, 'workflow_executions', KEY];
  const [table] = await queryOnce<FoundTable>(dataSource, LIMITS, CATALOGUE_SQL, parameters);
  if (!table) {
    throw new WatchedTableMissingError(schema);
  }
  const faults = faultsOf(table);
  if (faults.length > 0) {
    throw new WatchedTableUnsuitableError(schema, faults);
  }
  const column = (name: keyof typeof COLUMNS) => table.columns.find((found) => found.name === name) as FoundColumn;
  const momentType = ({ type }: FoundColumn) => (type === 'timestamp with time zone' ? 'timestamptz' : 'timestamp');
  return {
    updatedAtType: momentType(column('updated_at')),
    createdAtType: momentType(column('created_at')),
    updatedAtNullable: !column('updated_at').notNull,
    partitioned: table.kind === 'p',
    concerns: concernsOf(table),
  };
}

/**
 * The columns among `wanted` that are not text of some kind, or are missing, of a table that is there.
 *
 * @returns null if there is no such table.
 */
export async function textFaultsOf(
  dataSource: DataSource,
  schema: string,
  name: string,
  wanted: readonly string[],
): Promise<string[] | null> {
  const [table] = await queryOnce<FoundTable>(dataSource, LIMITS, CATALOGUE_SQL, [schema, name, KEY]);
  return table ? columnFaults(table.columns, Object.fromEntries(wanted.map((column) => [column, 'text']))) : null;
}

function faultsOf({ kind, columns }: FoundTable): string[] {
  if (kind !== 'r' && kind !== 'p') {
    return [`it is a ${RELATION_KINDS[kind] ?? 'relation of another kind'}, and must be a table`];
  }
  return [
    ...columnFaults(columns, COLUMNS),
    ...columns
      .filter(({ name, notNull }) => KEY.includes(name) && !notNull)
      .map(({ name }) => `${name} may be NULL, and must be NOT NULL: a row without its key can't be told from others`),
    ...columns
      .filter(({ name, isGenerated }) => WRITTEN.includes(name) && isGenerated)
      .map(({ name }) => `${name} is a generated column, and Lapse must be able to write it`),
  ];
}

function columnFaults(columns: FoundColumn[], wanted: Record<string, keyof typeof ALLOWED>): string[] {
  const missing = Object.keys(wanted).filter((name) => !columns.some((column) => column.name === name));
  const found = Object.entries(wanted).flatMap(([name, allowed]) =>
    columns.filter((column) => column.name === name).map((column) => ({ ...column, ...ALLOWED[allowed] })),
  );
  return [
    ...(missing.length > 0 ? [`columns are missing: ${missing.join(', ')}`] : []),
    ...found
      .filter(({ type, types }) => !types.some((allowed) => allowed === type))
      .map(({ name, declared, type, isDomain, shown }) => {
        const is = isDomain ? `${declared} (a domain over ${type})` : declared;
        return `${name} is ${is}, and must be ${shown}`;
      }),
    ...found
      .filter(({ looseCollation }) => looseCollation !== null)
      .map(
        ({ name, looseCollation }) =>
          `${name} has the nondeterministic collation "${looseCollation}", under which different ids are equal, and must ` +
          'have a deterministic one',
      ),
  ];
}

function concernsOf({ columns, hasUniqueKey }: FoundTable): string[] {
  const updatedAt = columns.find(({ name }) => name === 'updated_at');
  return [
    ...(hasUniqueKey
      ? []
      : [
          'No primary key or unique index makes (tenant_id, project_id, id) unique: rows that share them are timed out ' +
            'together, and an undo takes back only one of them',
        ]),
    ...(updatedAt?.notNull
      ? []
      : ['updated_at may be NULL: an execution that is suspended with NULL there is never overdue']),
  ];
}

const RELATION_KINDS: Record<string, string> = { v: 'view', m: 'materialized view', f: 'foreign table' };

const CATALOGUE_SQL = `
  SELECT c.relkind AS kind,
         EXISTS (
           SELECT FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
              AND (SELECT array_agg(a.attname::text)
                     FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
                     JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                    WHERE k.place <= i.indnkeyatts) <@ $3::text[]) AS "hasUniqueKey",
         (SELECT coalesce(json_agg(json_build_object(
                   'name', a.attname, 'declared', format_type(a.atttypid, a.atttypmod),
                   'type', format_type(base.oid, NULL), 'isDomain', base.oid <> a.atttypid,
                   'notNull', a.attnotnull OR base.not_null, 'isGenerated', a.attgenerated <> '',
                   'looseCollation', (SELECT l.collname FROM pg_catalog.pg_collation l
                                       WHERE l.oid = a.attcollation AND NOT l.collisdeterministic))), '[]')
            FROM pg_catalog.pg_attribute a
           CROSS JOIN LATERAL (
             WITH RECURSIVE types AS (
               SELECT t.oid, t.typtype, t.typbasetype, t.typnotnull AS not_null
                 FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
               UNION ALL
               SELECT t.oid, t.typtype, t.typbasetype, types.not_null OR t.typnotnull
                 FROM types JOIN pg_catalog.pg_type t ON t.oid = types.typbasetype WHERE types.typtype = 'd')
             SELECT oid, not_null FROM types WHERE typtype <> 'd') base
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
    FROM pg_catalog.pg_class c
   WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`;
