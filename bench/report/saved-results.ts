import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { picturesOf } from './pictures.js';
import type { Result } from './result.js';
import { claimsOf, tableOf } from './tables.js';

const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));
const BENCH_README = fileURLToPath(new URL('../README.md', import.meta.url));
const SIZING = fileURLToPath(new URL('../../docs/sizing.md', import.meta.url));

/** The order of the page. */
const ORDER = [
  'drain',
  'search',
  'growth',
  'neighbours',
  'timeliness',
  'memory',
  'start',
  'replicas',
  'http',
  'idle',
  'locks',
  'access',
  'reads',
  'aftermath',
  'sizes',
];

/** Keeps the result of a measure in place of its last one. */
export async function save(result: Result): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  await writeFile(`${RESULTS}${result.measure}.json`, `${JSON.stringify(result, null, 2)}\n`);
}

/** Draws the pictures, and updates the page with the saved results. */
export async function render(): Promise<void> {
  for (const [file, text] of await rendered()) {
    await writeFile(file, text);
  }
}

/** @returns the pictures, and the page with its tables, as the saved results give them. */
export async function rendered(): Promise<[file: string, text: string][]> {
  const results = await savedResults();
  const sizes = results.filter(({ measure }) => measure === 'sizes');
  const parts = [
    `### All targets\n\n${claimsOf(results)}`,
    ...results.map((result) => `### ${result.measure}\n\n${tableOf(result)}`),
  ];
  return [
    [BENCH_README, await withPart(BENCH_README, parts.join('\n\n'))],
    [SIZING, await withPart(SIZING, sizes.map(tableOf).join('\n\n'))],
    ...results.flatMap((result) =>
      Object.entries(picturesOf(result)).map(([name, picture]): [string, string] => [RESULTS + name, picture]),
    ),
  ];
}

async function savedResults(): Promise<Result[]> {
  const files = (await readdir(RESULTS)).filter((name) => name.endsWith('.json'));
  const results = files.map(async (name) => JSON.parse(await readFile(RESULTS + name, 'utf8')) as Result);
  return (await Promise.all(results)).sort((a, b) => ORDER.indexOf(a.measure) - ORDER.indexOf(b.measure));
}

/** The text of a file with the part between its two marks replaced. @throws if it has no marks. */
async function withPart(file: string, part: string): Promise<string> {
  const text = await readFile(file, 'utf8');
  const [before, rest] = text.split('<!-- results -->\n');
  const after = rest?.split('<!-- end of results -->')[1];
  if (before === undefined || after === undefined) {
    throw new Error(`${file} has no place for results: <!-- results --> and <!-- end of results -->, a line each`);
  }
  return `${before}<!-- results -->\n\n${part}\n\n<!-- end of results -->${after}`;
}
