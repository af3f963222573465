import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { expect } from '@jest/globals';
import { commandServer } from './command-line.js';

/** A block of code of the page. */
interface Block {
  section: string;
  language: string;
  text: string;
  /** Whether a test has run it, or compared it. */
  isUsed: boolean;
}

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

interface Run {
  /** What stands in the page as an example, and what it is in this test. */
  values?: Record<string, string>;
  environment?: Record<string, string>;
  /** What the command has to end with. */
  code?: number;
  /** A script that follows in the same shell. */
  followedBy?: string;
}

/** What of the page is another thing on each machine. */
interface Place {
  url: string;
  databaseUrl: string;
  adminKey: string;
}

const SETUP = 'Before you begin';

/** The programs that a test has none of: a container, and on some machines psql. */
const STAND_INS = `
  kubectl() { [ "$1 $2 $3" = 'exec deploy/lapse --' ] && shift 3 && "$@"; }
  docker() { [ "$1 $2" = 'exec lapse' ] && shift 2 && "$@"; }
  node() { if [ "$1" = dist/cli.js ]; then shift; command node dist/test/support/command-client.js "$@"; else command node "$@"; fi; }
  command -v psql > /dev/null || psql() { node dist/test/support/psql.js "$@"; }`;

/** Times and durations differ from run to run, as does how a table is drawn around what it holds. */
const VOLATILE: readonly [RegExp, string][] = [
  [/[│┌├└┐┤┘┬┼┴─]/g, ' '],
  [/\d{4}-\d\d-\d\dT[\d:.]+Z|\d{4}-\d\d-\d\d \d\d:\d\d\b|\b\d\d:\d\d:\d\d\b/g, '<time>'],
  [/\s+/g, ' '],
];

/**
 * `docs/runbook.md`, section by section. A block `sh` is a command; the block without a language that follows it is what it
 * prints, `…` standing for what was left out; a block `log` is what the log says. Each of them is run or compared once, and
 * `unused` names those that were not.
 */
export class Runbook {
  private constructor(
    private readonly page: string,
    private readonly blocks: readonly Block[],
    private readonly place: Place,
  ) {}

  static async read(place: Place): Promise<Runbook> {
    const page = await readFile('docs/runbook.md', 'utf8');
    const blocks = page.split(/^## /m).flatMap((part) => {
      const section = part.slice(0, part.indexOf('\n'));
      return [...part.matchAll(/^```(\w*)\n(.*?)\n```$/gms)].map(([, language = '', text = '']) => {
        return { section, language, text, isUsed: false };
      });
    });
    return new Runbook(page, blocks, place);
  }

  /**
   * Runs the next command of the section that begins so, in a shell in which the page's own lines have been pasted, and
   * compares its code and its output with what the page says.
   */
  async run(
    section: string,
    start: string,
    { values = {}, environment = {}, code = 0, followedBy = '' }: Run = {},
  ): Promise<Ended> {
    const block = this.next(section, 'sh', start);
    block.isUsed = true;
    const answer = this.blocks[this.blocks.indexOf(block) + 1];
    const ended = await this.inShell(`${withValues(block.text, values)}\n${followedBy}`, environment);
    expect({ command: block.text, ...ended }).toMatchObject({ command: block.text, code });
    if (answer?.section === section && answer.language === '') {
      answer.isUsed = true;
      expectToShow(ended.stdout, withValues(answer.text, values));
    }
    return ended;
  }

  /** Compares the next log line of the section with what was logged. */
  expectLog(section: string, logged: string, values: Record<string, string> = {}): void {
    const block = this.next(section, 'log', '');
    block.isUsed = true;
    expectToShow(logged, withValues(block.text, values));
  }

  /** Every block that no test has used, and every command in the text that is in no block. */
  unused(): string[] {
    const commands = this.blocks.filter(({ language }) => language === 'sh').map(({ text }) => text);
    const prose = this.page.replace(/^```.*?^```$/gms, '');
    const named = [...prose.matchAll(/`((?:lapse|curl|psql|kubectl|docker) [^`]*)`/g)].map(([, text = '']) => text);
    return [
      ...this.blocks.filter(({ isUsed }) => !isUsed).map(({ section, text }) => `${section}: ${text}`),
      ...named.filter((text) => !/[…<]/.test(text) && !commands.some((command) => command.startsWith(text))),
    ];
  }

  /** In which what the page says to paste first was pasted. */
  private async inShell(script: string, environment: Record<string, string>): Promise<Ended> {
    const { url, databaseUrl, adminKey } = this.place;
    const setup = this.blocks.filter(({ section, text }) => section === SETUP && !/kubectl|docker/.test(text));
    const pasted = withValues(setup.map(({ text }) => text).join('\n'), {
      'http://127.0.0.1:3000': url,
      'postgres://app@127.0.0.1:5432/app': databaseUrl,
    });
    const { PATH, HOME } = process.env;
    const env = {
      PATH,
      HOME,
      DATABASE_URL: databaseUrl,
      LAPSE_ADMIN_KEY: adminKey,
      COMMAND_SERVER: await commandServer(),
      ...environment,
    };
    const args = ['-c', ['set -o pipefail', STAND_INS, pasted, script].join('\n')];
    return new Promise((resolve) => {
      execFile('bash', args, { env }, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
      );
    });
  }

  private next(section: string, language: string, start: string): Block {
    const block = this.blocks.find(
      (one) => !one.isUsed && one.section === section && one.language === language && one.text.startsWith(start),
    );
    if (!block) {
      throw new Error(`docs/runbook.md has no (other) block "${language}" that begins with "${start}" in "${section}"`);
    }
    return block;
  }
}

function withValues(text: string, values: Record<string, string>): string {
  return Object.entries(values).reduce((result, [example, value]) => result.replaceAll(example, value), text);
}

/** Each piece between two `…` is somewhere in the output, in this order. */
function expectToShow(output: string, shown: string): void {
  const actual = steady(output);
  let at = 0;
  for (const piece of steady(shown).split('…')) {
    const found = actual.indexOf(piece.trim(), at);
    if (found === -1) {
      expect(actual).toContain(piece.trim());
    }
    at = found + piece.trim().length;
  }
}

function steady(text: string): string {
  return VOLATILE.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text);
}
