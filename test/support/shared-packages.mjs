import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from './programs.mjs';

const FOLDER = 'dist/test/packages';
const ALL = 'all.mjs';
const KEY = 'lapse.shared-packages';

/**
 * Makes the test files of a process share one instance of each package that the service uses. Jest by itself loads every
 * package anew for each file, about 1,500 modules, which takes most of the time of a short file.
 *
 * A test file gets a package through a module of our own that exports the same from the shared instance.
 *
 * @returns what Jest's moduleNameMapper needs to find these modules
 */
export async function sharePackages() {
  const specifiers = await importedPackages();
  const mapper = {};
  for (const specifier of specifiers) {
    const file = `${specifier.replaceAll('/', '+')}.mjs`;
    await writeWhole(join(FOLDER, file), moduleFor(specifier, Object.keys(await import(specifier))));
    mapper[`^${specifier.replaceAll('.', '\\.')}$`] = `<rootDir>/${FOLDER}/${file}`;
  }
  await writeWhole(join(FOLDER, ALL), moduleOfAll(specifiers));
  return mapper;
}

/** Loads the shared instances into this process. */
export async function loadSharedPackages() {
  await import(`../../${FOLDER}/${ALL}`);
}

/** As sources and tests write them, `@nestjs/common/internal.js` included; types only, too. */
async function importedPackages() {
  const { dependencies } = JSON.parse(await readFile('package.json', 'utf8'));
  const packages = [...Object.keys(dependencies), '@nestjs/testing'];
  const found = new Set();
  for (const folder of ['src', 'test']) {
    for (const file of await readdir(folder, { recursive: true })) {
      if (file.endsWith('.ts')) {
        const source = await readFile(join(folder, file), 'utf8');
        for (const [, specifier] of source.matchAll(/(?:\bfrom|^import) '([^'.][^']*)';$/gm)) {
          if (packages.some((name) => specifier === name || specifier.startsWith(`${name}/`))) {
            found.add(specifier);
          }
        }
      }
    }
  }
  return [...found].sort();
}

function moduleFor(specifier, names) {
  const constants = names.map((name, n) => `const e${n} = shared[${JSON.stringify(name)}];`);
  const exports = names.map((name, n) => `e${n} as ${JSON.stringify(name)}`);
  return `const shared = globalThis[Symbol.for('${KEY}')]['${specifier}'];
${constants.join('\n')}
export { ${exports.join(', ')} };
`;
}

function moduleOfAll(specifiers) {
  const imports = specifiers.map((specifier, n) => `import * as p${n} from '${specifier}';`);
  const members = specifiers.map((specifier, n) => `  '${specifier}': p${n},`);
  return `${imports.join('\n')}
globalThis[Symbol.for('${KEY}')] = {
${members.join('\n')}
};
`;
}
