/** A node of a plan, as EXPLAIN (FORMAT JSON, VERBOSE) shows it; of its fields only those that matter here. */
export interface PlanNode {
  'Node Type': string;
  Schema?: string;
  'Relation Name'?: string;
  Filter?: string;
  Plans?: PlanNode[];
}

/** A table or a partition. */
export interface Relation {
  schema: string;
  name: string;
}

const INDEX_SCANS = ['Index Scan', 'Index Only Scan'];
const SORTS = ['Sort', 'Incremental Sort'];

/**
 * The tables and partitions that a plan reads other than in the order of an index that leads to the wanted rows alone: what
 * is sorted, or filtered after it was read, costs as much as the table is large. Foreign tables have no index of ours.
 */
export function unservedRelations(node: PlanNode, isSorted = false): Relation[] {
  const { Schema: schema, 'Relation Name': name, 'Node Type': type, Plans: children = [] } = node;
  const below = children.flatMap((child) => unservedRelations(child, isSorted || SORTS.includes(type)));
  if (schema === undefined || name === undefined || type === 'Foreign Scan') {
    return below;
  }
  const isServed = INDEX_SCANS.includes(type) && !isSorted && !filtersWhatItWants(node);
  return isServed ? below : [{ schema, name }, ...below];
}

/**
 * Every condition of the search names the status or `updated_at`. A policy for row-level security filters too, by the tenant
 * for instance, and whatever index there is can't help that.
 */
function filtersWhatItWants({ Filter: filter = '' }: PlanNode): boolean {
  return /\b(suspended|updated_at)\b/.test(filter);
}
