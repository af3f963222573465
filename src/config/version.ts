import { readFileSync } from 'node:fs';

/** The version of Lapse. */
export function lapseVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return version;
}
