import { nearestName } from '../config/nearest-name.js';

/** What is said of a member or parameter that nothing reads: which one was probably meant, and which there are. */
export function unknownName(name: string, known: readonly string[]): string {
  if (known.length === 0) {
    return 'is not known here, where nothing is expected; remove it';
  }
  const nearest = nearestName(name, known);
  const hint = nearest === undefined ? 'known' : `did you mean "${nearest}"? Known`;
  return `is not known here; ${hint}: ${known.join(', ')}`;
}
