import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The service built as for production, in `dist`.
 *
 * @returns the path of main.js.
 * @throws where the sources don't compile.
 */
export async function builtService(): Promise<string> {
  const compiler = `${REPOSITORY}node_modules/typescript/bin/tsc`;
  await promisify(execFile)(process.execPath, [compiler, '--build', `${REPOSITORY}tsconfig.build.json`]);
  return `${REPOSITORY}dist/main.js`;
}
