import type { Line, Result, Target } from './result.js';

const HEADINGS = ['measure', 'median', 'min–max', 'target', ''];
const RIGHT_ALIGNED = [false, true, true, true, false];

/** Everything that a measure found, as Markdown: when, where, how much, and a table. */
export function tableOf(result: Result): string {
  const { measure, startedAt, machine, load, database, sizes, lines } = result;
  return [
    `\`npm run bench -- --only ${measure}\`, ${startedAt.slice(0, 16)}Z${load === null ? '' : `, load average ${load.toFixed(2)}`}`,
    machine,
    database,
    `Sizes: ${Object.entries(sizes)
      .map(
        ([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value).replaceAll('"', '') : value}`,
      )
      .join(', ')}`,
    aligned(HEADINGS, lines.map(cellsOf)),
  ].join('\n\n');
}

/** The lines that hold something against a target, of all measures. */
export function claimsOf(results: readonly Result[]): string {
  const claims = results.flatMap(({ lines }) => lines.filter(({ target }) => target));
  return aligned(HEADINGS, claims.map(cellsOf));
}

function cellsOf({ measure, unit, median, min, max, target, met }: Line): string[] {
  return [
    measure,
    withUnit(median, unit),
    min === max ? '' : `${rounded(min)}–${rounded(max)}`,
    target ? wanted(target) : '',
    met === undefined ? '' : met ? 'met' : '**missed**',
  ];
}

function wanted(target: Target): string {
  return 'atLeast' in target ? `≥ ${target.atLeast}` : `≤ ${target.atMost}`;
}

function withUnit(figure: number, unit: string): string {
  return unit ? `${rounded(figure)} ${unit}` : rounded(figure);
}

/** Three digits say what can be said. */
function rounded(figure: number): string {
  return Math.abs(figure) >= 100 ? Math.round(figure).toLocaleString('en') : String(Number(figure.toPrecision(3)));
}

function aligned(headings: string[], rows: string[][]): string {
  const widths = headings.map((heading, column) =>
    Math.max(3, heading.length, ...rows.map((cells) => cells[column]?.length ?? 0)),
  );
  const row = (cells: string[]): string =>
    `| ${cells.map((cell, column) => (RIGHT_ALIGNED[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0))).join(' | ')} |`;
  const rule = widths.map((width, column) => (RIGHT_ALIGNED[column] ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)));
  return [row(headings), row(rule), ...rows.map(row)].join('\n');
}
