import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { transformFile } from '@swc/core';

const COMPILER = 'node_modules/typescript/bin/tsc';
const COMPILED_TESTS = 'dist/test';

/**
 * Compiles the service, as `npm run build` does, and below it what tests start as processes of their own: a process
 * that compiles its sources when it starts needs several times as long.
 */
export async function buildPrograms() {
  await promisify(execFile)(process.execPath, [COMPILER, '--build', 'tsconfig.build.json']).catch(({ stdout }) => {
    throw new Error(`The service does not compile:\n${stdout}`);
  });
  const files = (await readdir('test', { recursive: true })).filter((file) => /(?<!\.spec)\.ts$/.test(file));
  await Promise.all(files.map(compile));
}

/** `dist` has no folder `src`: what is `../src/x.js` for a source is `../x.js` for what was made of it. */
async function compile(file) {
  const { code } = await transformFile(join('test', file));
  const target = join(COMPILED_TESTS, file.replace(/\.ts$/, '.js'));
  await writeWhole(target, code.replace(/(?<=['"](?:\.\.\/)+)src\//g, ''));
}

/** In one step, because another run in this folder may be reading it. */
export async function writeWhole(file, text) {
  if ((await readFile(file, 'utf8').catch(() => undefined)) === text) {
    return;
  }
  await mkdir(dirname(file), { recursive: true });
  const unfinished = `${file}.${process.pid}`;
  await writeFile(unfinished, text);
  await rename(unfinished, file);
}
