import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { getMetadataStorage } from 'class-validator';
import { parse } from 'yaml';
import { readConfiguration } from '../src/config/configuration.js';
import { Environment } from '../src/config/environment.js';

const KNOWN_VARIABLES = new Set(
  getMetadataStorage()
    .getTargetValidationMetadatas(Environment, '', false, false)
    .map(({ propertyName }) => propertyName),
);

/** Markdown documents by their path from the root. */
const documents = new Map<string, string>();

beforeAll(async () => {
  const names = ['.', 'docs', 'docs/adr', 'bench', '.github'].map(async (folder) =>
    (await readdir(folder)).filter((name) => name.endsWith('.md')).map((name) => normalize(join(folder, name))),
  );
  for (const name of (await Promise.all(names)).flat()) {
    documents.set(name, await readFile(name, 'utf8'));
  }
});

describe('the documents', () => {
  test('link to files and headings that exist', async () => {
    const dead: string[] = [];
    for (const [name, text] of documents) {
      for (const [, target = ''] of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
        // GitHub resolves links of its templates against the page that shows them.
        if (/^https?:/.test(target) || target.startsWith('../blob/')) {
          continue;
        }
        const [path = '', anchor] = target.split('#');
        const file = path === '' ? name : normalize(join(dirname(name), path));
        if (!(await exists(file)) || (anchor !== undefined && !anchorsOf(file).includes(anchor))) {
          dead.push(`${name}: ${target}`);
        }
      }
    }
    expect(dead).toEqual([]);
  });

  test('list every variable of the configuration in the README, and no other', () => {
    const [, section = ''] = /\n## Configuration\n(.*?)\n## /s.exec(documents.get('README.md') ?? '') ?? [];
    const names = [...section.matchAll(/^\| (.*?) +\|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([A-Z_]+)`/g)].map(([, variable]) => variable),
    );
    expect(names.sort()).toEqual([...KNOWN_VARIABLES].sort());
  });
});

describe('compose.yaml', () => {
  interface Service {
    environment: Record<string, string>;
    ports: string[];
    healthcheck: { test: string[] };
  }
  let services: Record<'lapse' | 'postgres', Service>;

  beforeAll(async () => {
    const text = await readFile('compose.yaml', 'utf8');
    // As compose does it: ${NAME:-default}, and ${NAME:?message} for what the person who starts it must set.
    const started = text.replace(
      /\$\{(\w+)(?::-([^}]*)|:\?[^}]*)\}/g,
      (_, _name, fallback) => fallback ?? 'x'.repeat(64),
    );
    ({ services } = parse(started));
  });

  test('sets variables that Lapse knows, to values that it accepts', () => {
    const { environment } = services.lapse;
    expect(Object.keys(environment).filter((name) => !KNOWN_VARIABLES.has(name))).toEqual([]);
    expect(() => readConfiguration(environment)).not.toThrow();
  });

  test('connects Lapse to the database, the user and the password that it creates', () => {
    const { POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB } = services.postgres.environment;
    expect(services.lapse.environment.DATABASE_URL).toBe(
      `postgres://${POSTGRES_USER}:${POSTGRES_PASSWORD}@postgres:5432/${POSTGRES_DB}`,
    );
  });

  test('publishes ports on the loopback address only, and checks the health of both services', async () => {
    for (const { ports, healthcheck } of Object.values(services)) {
      expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
      expect(healthcheck.test.length).toBeGreaterThan(1);
    }
    const dockerfile = await readFile('Dockerfile', 'utf8');
    const [, image] = /HEALTHCHECK .*?CMD (\[.*?\])/s.exec(dockerfile) ?? [];
    expect(services.lapse.healthcheck.test).toEqual(['CMD', ...JSON.parse(image ?? '[]')]);
  });
});

function withoutCode(markdown: string): string {
  return markdown.replace(/```.*?```/gs, '').replace(/`[^`\n]*`/g, '`');
}

/** The ids that GitHub gives the headings of a document. */
function anchorsOf(file: string): string[] {
  const headings = withoutFences(documents.get(file) ?? '').matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function withoutFences(markdown: string): string {
  return markdown.replace(/```.*?```/gs, '');
}

async function exists(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    (error) => error.code === 'EISDIR',
  );
}
