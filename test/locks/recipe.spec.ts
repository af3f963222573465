import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { LockConnections } from '../../src/locks/lock-connections.js';
import type { LockSettings } from '../../src/locks/lock-settings.js';
import { LockSettingsInvalidError } from '../../src/locks/locks.errors.js';
import { eventually } from '../support/eventually.js';
import { useDatabase } from '../support/world.js';

const run = promisify(execFile);
const world = useDatabase();
const started: ChildProcess[] = [];
let folder: string;
let program: string;
const applications = new Map<(typeof FRESH)[number], string>();
/** What the compiler complains about. */
let complaints: string;

/** Below node_modules of this project, where a package that an application has not of its own is found. */
beforeAll(async () => {
  await mkdir('dist/test', { recursive: true });
  folder = await mkdtemp(resolve('dist/test/recipe-'));
  program = (/recipe\.spec\.ts.*?```ts\n(.*?)```/s.exec(await readFile('docs/locks.md', 'utf8')) ?? [])[1] as string;
  for (const fresh of FRESH) {
    applications.set(fresh, await follow(fresh));
  }
  complaints = await compile([...applications.values()]);
}, 120_000);
afterEach(() => {
  for (const application of started.splice(0)) {
    application.kill('SIGKILL');
  }
});
afterAll(() => rm(folder, { recursive: true }));

/** What `nest new` writes into tsconfig.json. */
const STARTER = {
  esModuleInterop: true,
  declaration: true,
  removeComments: true,
  emitDecoratorMetadata: true,
  experimentalDecorators: true,
  allowSyntheticDefaultImports: true,
  target: 'ES2023',
  sourceMap: true,
  outDir: './dist',
  skipLibCheck: true,
  strictNullChecks: true,
  noImplicitAny: false,
  strictBindCallApply: false,
};

/** What a project that wants to know writes beyond that. */
const STRICT = {
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noImplicitOverride: true,
  noUnusedLocals: true,
  isolatedModules: true,
};

const FRESH = [
  // What `nest new` wrote before it wrote nodenext: `import pg from 'pg'` would be undefined there.
  { nest: 11, type: 'commonjs', module: 'commonjs', others: { esModuleInterop: false } },
  { nest: 11, type: 'module', module: 'nodenext', others: STRICT },
  { nest: 12, type: 'commonjs', module: 'nodenext', others: STRICT },
  { nest: 12, type: 'module', module: 'nodenext', others: {} },
] as const;

/** A fresh application in which somebody follows docs/locks.md to the letter. */
async function follow({ nest, type, module, others }: (typeof FRESH)[number]): Promise<string> {
  const application = join(folder, `nest-${nest}-${type}-${module}`);
  await mkdir(join(application, 'src'), { recursive: true });
  const options = { ...STARTER, ...others, module, types: ['node'], rootDir: './src' };
  const resolution = module === 'commonjs' ? { moduleResolution: 'node10', ignoreDeprecations: '6.0' } : {};
  await Promise.all([
    cp('src/locks', join(application, 'src/locks'), { recursive: true }),
    cp('src/config/duration.ts', join(application, 'src/config/duration.ts')),
    writeFile(join(application, 'src/main.ts'), program),
    writeFile(join(application, 'package.json'), JSON.stringify({ type })),
    writeFile(
      join(application, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: { ...options, ...resolution }, include: ['src'] }),
    ),
    ...(nest === 11 ? ['common', 'core', 'schedule'] : []).map((name) =>
      cp(`node_modules/nest-11-${name}`, join(application, 'node_modules/@nestjs', name), { recursive: true }),
    ),
  ]);
  return application;
}

/** Each for itself, in one process: reading the declarations of Nest and Node.js is what takes long. */
async function compile(folders: readonly string[]): Promise<string> {
  const compiler = resolve('node_modules/typescript/bin/tsc');
  return (await run(process.execPath, [compiler, '--build', ...folders]).catch((error) => error)).stdout;
}

interface Running {
  child: ChildProcess;
  output: string;
  exited: Promise<unknown>;
}

function start(application: string, environment: Record<string, string>): Running {
  const child = spawn(process.execPath, ['dist/main.js'], {
    cwd: application,
    env: { PATH: process.env.PATH, NO_COLOR: '1', ...environment },
  });
  const running = { child, output: '', exited: once(child, 'close') };
  started.push(child);
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      running.output += chunk;
    });
  }
  return running;
}

test.each(FRESH)(
  'the recipe followed to the letter compiles and runs with NestJS $nest, "type": "$type" and module $module',
  async (fresh) => {
    const application = applications.get(fresh) as string;
    expect(complaints.split('\n').filter((line) => line.includes(basename(application)))).toEqual([]);
    const withoutUrl = start(application, {});
    const running = start(application, { DATABASE_URL: world.databaseUrl });
    await eventually(
      async () => running.output,
      (text) => text.split('sending 2026-002').length > 2,
    );
    running.child.kill('SIGTERM');
    await Promise.all([running.exited, withoutUrl.exited]);
    expect(running.output).not.toMatch(/ERROR/);
    expect(withoutUrl.output).toMatch(
      /databaseUrl is empty, and must be a URL such as postgres:.*is DATABASE_URL set\?/,
    );
    expect(withoutUrl.output).not.toContain('Invalid URL');
  },
  60_000,
);

test.each([
  [{ databaseUrl: undefined, application: '' }, /databaseUrl is missing, and must be a URL .*; application is empty/],
  [{ databaseUrl: '  ' }, /databaseUrl is empty, and must be a URL such as postgres:/],
  [{ databaseUrl: 'db.example' }, /databaseUrl is not a URL, and must be a URL such as postgres:.*percent-encoded/],
  [{ databaseUrl: 'mysql://root:hunter2@127.0.0.1/x' }, /databaseUrl begins with "mysql:", and must be a URL such as/],
  [{ databaseUrl: 'postgres://root:hunter2 @127.0.0.1:x/x' }, /databaseUrl is not a URL/],
])('settings %j stop the boot, in words and without a password', (settings, message) => {
  const all = { application: 'a', schema: 'public', ...settings } as LockSettings;
  expect(() => new LockConnections(all)).toThrow(LockSettingsInvalidError);
  expect(() => new LockConnections(all)).toThrow(message);
  expect(() => new LockConnections(all)).not.toThrow(/hunter2/);
});
