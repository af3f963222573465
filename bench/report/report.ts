import { cpus, loadavg, release, totalmem, type } from 'node:os';
import type { Spread } from '../support/statistics.js';
import type { Line, Result, Series, Target } from './result.js';

/** Collects what a measure finds, and tells on standard error how far it is. */
export class Report {
  private readonly lines: Line[] = [];
  private readonly allSeries: Series[] = [];
  private readonly startedAt = new Date();
  private readonly load = loadavg()[0] ?? 0;

  constructor(
    private readonly measure: string,
    private readonly database: string,
    private readonly sizes: object,
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

  /** Points for a picture. */
  series(name: string, points: Series['points']): void {
    this.allSeries.push({ name, points });
  }

  get result(): Result {
    return {
      measure: this.measure,
      startedAt: this.startedAt.toISOString(),
      machine: describeMachine(),
      load: this.load,
      database: this.database,
      sizes: { ...this.sizes },
      lines: this.lines,
      series: this.allSeries,
    };
  }
}

function describeMachine(): string {
  const processors = cpus();
  const memory = Math.round(totalmem() / 1024 ** 3);
  return `${type()} ${release()}, ${processors.length} × ${processors[0]?.model.trim()}, ${memory} GiB, Node ${process.version}`;
}
