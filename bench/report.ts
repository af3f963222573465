import { writeFile } from 'node:fs/promises';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import type { Sizes } from './sizes.js';
import type { Spread } from './statistics.js';

/** What we claim a figure to be; it is held against the median. */
export type Target = { atLeast: number } | { atMost: number };

interface Line extends Spread {
  measure: string;
  unit: string;
  target?: Target;
  met?: boolean;
}

/** Collects figures, prints them as Markdown on standard output, and tells on standard error how far the run is. */
export class Report {
  private readonly lines: Line[] = [];
  private readonly startedAt = new Date();
  private readonly loadBefore = loadavg()[0] ?? 0;

  constructor(
    private readonly database: string,
    private readonly sizes: Sizes,
    /** False for a run too small to hold figures against what is claimed. */
    private readonly judges: boolean,
  ) {}

  progress(text: string): void {
    console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);
  }

  /** For information: nothing is claimed about it. */
  figure(measure: string, unit: string, spread: Spread): void {
    this.lines.push({ measure, unit, ...spread });
  }

  claim(measure: string, unit: string, spread: Spread, target: Target): void {
    if (!this.judges) {
      this.figure(measure, unit, spread);
      return;
    }
    const met = 'atLeast' in target ? spread.median >= target.atLeast : spread.median <= target.atMost;
    this.lines.push({ measure, unit, ...spread, target, met });
  }

  get missed(): string[] {
    return this.lines.filter(({ met }) => met === false).map(({ measure }) => measure);
  }

  print(): void {
    console.log(
      [
        `${this.startedAt.toISOString().slice(0, 16)}Z`,
        this.machine(),
        this.database,
        `Sizes: ${Object.entries(this.sizes)
          .map(([name, value]) => `${name}=${value}`)
          .join(', ')}`,
        ['| measure | median | min–max | target | |', '|---|--:|--:|--:|---|', ...this.lines.map(row)].join('\n'),
      ].join('\n\n'),
    );
  }

  async writeJson(file: string): Promise<void> {
    const { startedAt, database, sizes, lines } = this;
    await writeFile(
      file,
      `${JSON.stringify({ startedAt, machine: this.machine(), database, sizes, lines }, null, 2)}\n`,
    );
  }

  private machine(): string {
    const processors = cpus();
    const memory = Math.round(totalmem() / 1024 ** 3);
    return (
      `${type()} ${release()}, ${processors.length} × ${processors[0]?.model.trim()}, ${memory} GiB, ` +
      `Node ${process.version}; load average when it began ${this.loadBefore.toFixed(2)}`
    );
  }
}

function row({ measure, unit, median, min, max, target, met }: Line): string {
  const wanted = target ? ('atLeast' in target ? `≥ ${target.atLeast}` : `≤ ${target.atMost}`) : '';
  const spread = min === max ? '' : `${rounded(min)}–${rounded(max)}`;
  const verdict = met === undefined ? '' : met ? 'met' : '**missed**';
  return `| ${measure} | ${rounded(median)}${unit && ` ${unit}`} | ${spread} | ${wanted} | ${verdict} |`;
}

/** Three digits say what can be said. */
function rounded(figure: number): string {
  return figure >= 100 ? String(Math.round(figure)) : String(Number(figure.toPrecision(3)));
}
