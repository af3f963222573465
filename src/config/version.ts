import { readFileSync } from 'node:fs';

/** The version of Lapse, read once. */
export const LAPSE_VERSION: string = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
).version;
