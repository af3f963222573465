import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import openapiTypescript, { astToString } from 'openapi-typescript';
import { ADMIN_KEY } from '../support/lapse.js';
import { useWorld } from '../support/world.js';

const run = promisify(execFile);
const world = useWorld();
let directory: string;

/** A program such as a user writes on top of the generated types. */
const PROGRAM = `
  import createClient from 'openapi-fetch';
  import type { paths, components } from './lapse.js';

  const [baseUrl, key] = process.argv.slice(2);
  const lapse = createClient<paths>({ baseUrl, headers: { Authorization: \`Bearer \${key}\` } });

  const { data: sweep } = await lapse.POST('/v1/sweeps', { body: { tenantId: 'acme', reason: 'a client' } });
  const timedOut: number | undefined = sweep?.counts.timedOut;

  const { data: page } = await lapse.GET('/v1/sweeps/{sweepId}/timeouts', {
    params: { path: { sweepId: sweep?.id ?? '' }, query: { limit: 10, toolName: 'issue_refund' } },
  });
  // Text where the program asks for CSV.
  const executions = typeof page === 'object' ? page.items.map(({ executionId }) => executionId) : [];

  const { error } = await lapse.GET('/v1/executions', { params: { query: { limit: 0 } } });
  const problem: components['schemas']['Problem'] | undefined = error;

  console.log(JSON.stringify({ timedOut, executions, paths: problem?.errors?.map(({ path }) => path) }));
`;

const WRONG_PROGRAM = `
  import createClient from 'openapi-fetch';
  import type { paths } from './lapse.js';
  await createClient<paths>().POST('/v1/sweeps', { body: { limit: 'all' } });
`;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lapse-client-'));
  await symlink(resolve('node_modules'), join(directory, 'node_modules'));
  await writeFile(join(directory, 'package.json'), '{"type": "module"}');
  const types = await openapiTypescript(new URL(`file://${resolve('openapi.json')}`));
  await writeFile(join(directory, 'lapse.ts'), astToString(types));
});
afterAll(() => rm(directory, { recursive: true }));

async function compile(name: string, program: string): Promise<void> {
  await writeFile(join(directory, `${name}.ts`), program);
  const options = ['--strict', '--skipLibCheck', '--target', 'es2023', '--module', 'nodenext', '--types', 'node'];
  await run(process.execPath, [resolve('node_modules/typescript/bin/tsc'), ...options, `${name}.ts`], {
    cwd: directory,
  }).catch(({ stdout }) => {
    throw new Error(stdout);
  });
}

test('a client that is generated from the document compiles, and works', async () => {
  await world.host.suspend({ id: 'late', minutes: 31 });

  await compile('program', PROGRAM);
  const { stdout } = await run(process.execPath, ['program.js', world.lapse.url, ADMIN_KEY], { cwd: directory });

  expect(JSON.parse(stdout)).toEqual({ timedOut: 1, executions: ['late'], paths: ['query.limit'] });
}, 60_000);

test('a client that sends what the document does not allow does not compile', async () => {
  await expect(compile('wrong', WRONG_PROGRAM)).rejects.toThrow(/Type 'string' is not assignable to type 'number'/);
}, 60_000);
