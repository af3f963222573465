import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { useDatabase } from '../support/world.js';

const run = promisify(execFile);
const world = useDatabase();
let folder: string;
let application: ChildProcess | undefined;
/** What the compiler complains about. */
let complaints: string;

/** A project of somebody else's: what docs/locks.md says to copy, and the program that it shows, compiled. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapse-recipe-'));
  const [, program] = /recipe\.spec\.ts.*?```ts\n(.*?)```/s.exec(await readFile('docs/locks.md', 'utf8')) ?? [];
  await Promise.all([
    cp('src/locks', join(folder, 'locks'), { recursive: true, filter: (file) => !file.endsWith('.spec.ts') }),
    cp('src/config/duration.ts', join(folder, 'config/duration.ts')),
    cp('tsconfig.json', join(folder, 'base.json')),
    symlink(resolve('node_modules'), join(folder, 'node_modules')),
    writeFile(join(folder, 'package.json'), '{ "type": "module" }'),
    writeFile(join(folder, 'tsconfig.json'), '{ "extends": "./base.json", "include": ["."], "exclude": ["dist"] }'),
    writeFile(join(folder, 'main.ts'), program as string),
  ]);
  const compiler = resolve('node_modules/typescript/bin/tsc');
  complaints = (await run(process.execPath, [compiler, '-p', folder]).catch((error) => error)).stdout;
}, 60_000);
afterAll(async () => {
  application?.kill('SIGKILL');
  await rm(folder, { recursive: true });
});

test('the recipe for other applications compiles', () => {
  expect(complaints).toBe('');
});

test('the recipe for other applications runs on schedule, and ends on SIGTERM', async () => {
  application = spawn(process.execPath, ['dist/main.js'], {
    cwd: folder,
    env: { PATH: process.env.PATH, DATABASE_URL: world.databaseUrl },
  });
  let output = '';
  application.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  await eventually(
    async () => output,
    (text) => text.split('sending 2026-002').length > 2,
  );
  const exited = once(application, 'exit');
  application.kill('SIGTERM');
  await exited;
  expect(output).not.toMatch(/ERROR/);
});
