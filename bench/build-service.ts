import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const REPOSITORY = fileURLToPath(new URL('..', import.meta.url));

/** The service built as for production, in a folder of its own: `dist` may be of yesterday, or being built just now. */
export interface ServiceBuild {
  /** Path of main.js. */
  main: string;
  remove(): Promise<void>;
}

/** @throws where the sources don't compile. */
export async function buildService(): Promise<ServiceBuild> {
  const folder = await mkdtemp(join(tmpdir(), 'lapse-bench-build-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
    await symlink(join(REPOSITORY, 'node_modules'), join(folder, 'node_modules'));
    const compiler = join(REPOSITORY, 'node_modules/typescript/bin/tsc');
    const to = ['--outDir', join(folder, 'dist'), '--incremental', 'false', '--tsBuildInfoFile', 'null'];
    await promisify(execFile)(process.execPath, [compiler, '-p', join(REPOSITORY, 'tsconfig.build.json'), ...to]);
    return { main: join(folder, 'dist/main.js'), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
