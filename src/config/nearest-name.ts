import { getMetadataStorage } from 'class-validator';
import { distance } from 'fastest-levenshtein';

/** Longer names are no typing errors, and comparing takes the product of both lengths. */
const MAX_COMPARED_CHARACTERS = 64;

/** The share of a name that may differ. */
const MAX_DIFFERENCE = 0.4;

const MIN_PREFIX_CHARACTERS = 3;

/** Of the names that are known, the one that was probably meant; undefined if none is like it. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const [nearest] = known
    .map((candidate) => ({ candidate, difference: difference(name, candidate) }))
    .filter((found) => found.difference <= MAX_DIFFERENCE)
    .sort((one, other) => one.difference - other.difference);
  return nearest?.candidate;
}

/** The members that a class validates, inherited ones included; none of anything else. */
export function membersOf(validated: unknown): string[] {
  if (typeof validated !== 'function') {
    return [];
  }
  const rules = getMetadataStorage().getTargetValidationMetadatas(validated, '', false, false);
  return [...new Set(rules.map(({ propertyName }) => propertyName))];
}

/** From 0 for the same name to 1. `tenant_id`, `Tenant-Id` and `tenantId` are the same; a beginning of a name is like it. */
export function difference(one: string, other: string): number {
  if (one.length > MAX_COMPARED_CHARACTERS || other.length > MAX_COMPARED_CHARACTERS) {
    return 1;
  }
  const [shorter, longer] = [plain(one), plain(other)].sort((a, b) => a.length - b.length) as [string, string];
  const share = distance(shorter, longer) / Math.max(longer.length, 1);
  const isPrefix = shorter.length >= MIN_PREFIX_CHARACTERS && longer.startsWith(shorter);
  return isPrefix ? Math.min(share, MAX_DIFFERENCE) : share;
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[-_.]/g, '');
}
