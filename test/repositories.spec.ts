import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import ts from 'typescript';

interface Method {
  /** As `Class.method`. */
  name: string;
  firstParameter: string | undefined;
}

/** Every public method of every repository, read from the sources. */
async function repositoryMethods(): Promise<Method[]> {
  const files = (await readdir('src', { recursive: true })).filter((file) => file.endsWith('.repository.ts'));
  const methods = await Promise.all(files.map(async (file) => methodsIn(await readFile(join('src', file), 'utf8'))));
  return methods.flat();
}

function methodsIn(source: string): Method[] {
  const file = ts.createSourceFile('repository.ts', source, ts.ScriptTarget.Latest, true);
  return file.statements.filter(ts.isClassDeclaration).flatMap((declaration) =>
    declaration.members
      .filter(ts.isMethodDeclaration)
      .filter(({ modifiers }) => !modifiers?.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword))
      .map((method) => ({
        name: `${declaration.name?.text}.${method.name.getText()}`,
        firstParameter: method.parameters[0]?.type?.getText(),
      })),
  );
}

test('every method of a repository takes the tenant scope first, or says in its name that it crosses tenants', async () => {
  const methods = await repositoryMethods();
  expect(methods.length).toBeGreaterThan(20);
  const unscoped = methods.filter(
    ({ name, firstParameter }) => firstParameter !== 'TenantScope' && !name.endsWith('AcrossTenants'),
  );
  expect(unscoped).toEqual([]);
});

test('nothing but the database layer sends statements outside a short transaction', async () => {
  const files = (await readdir('src', { recursive: true })).filter(
    (file) => file.endsWith('.ts') && !file.startsWith(join('database', '')) && !file.endsWith('.spec.ts'),
  );
  const outside = /\bdataSource\s*\.(query|transaction|createQueryRunner|manager|getRepository)\b/i;
  const offending = await Promise.all(
    files.map(async (file) => (outside.test(await readFile(join('src', file), 'utf8')) ? [file] : [])),
  );
  expect(files.length).toBeGreaterThan(100);
  expect(offending.flat()).toEqual([]);
});
