import stringWidth from 'string-width';

/** What a terminal, a chat and an incident report all show without breaking lines. */
const MAX_WIDTH = 100;
const MIN_TERMINAL_WIDTH = 40;

/** Other columns give way to those that are kept until they are as narrow as this. */
const NARROW = 8;
/** As wide as a UUID. A kept column gives way down to this, and from there on only if nothing else can. */
const WHOLE_ID = 36;
const NARROWEST = 3;

const ELLIPSIS = '…';

/** The head of a column; what is `kept`, such as an id that the next command needs, is cut last. */
export type Column = string | { name: string; kept: true };

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/**
 * A row for each thing, below a heading; cells that don't fit are cut, and a last line says so. Widths are those that a
 * terminal shows: an ideograph or an emoji takes two columns.
 *
 * @param whole what shows the same without a cut.
 */
export function listTable(columns: readonly Column[], rows: readonly (readonly string[])[], whole = '--json'): string {
  const head = columns.map((column) => (typeof column === 'string' ? column : column.name));
  const cells = [head, ...rows.map((row) => row.map(printable))];
  const kept = columns.map((column) => typeof column !== 'string');
  const widths = fitted(naturalWidths(cells), kept);
  const lines = cells.map((row) => row.map((cell, at) => [cut(cell, widths[at] as number)]));
  const isCut = lines.some((row, at) => row.some(([cell], column) => cell !== cells[at]?.[column]));
  const table = draw(lines, widths, true);
  return isCut ? `${table}\nCut to fit: ${ELLIPSIS} stands for the rest; ${whole} has everything.` : table;
}

/** One thing, a row for each of its properties; long values go on in the next line. */
export function propertyTable(properties: readonly (readonly string[])[]): string {
  const cells = properties.map((row) => row.map(printable));
  const natural = naturalWidths(cells);
  const widths = fitted(
    natural,
    natural.map((_, at) => at < natural.length - 1),
  );
  return draw(
    cells.map((row) => row.map((cell, at) => wrap(cell, widths[at] as number))),
    widths,
    false,
  );
}

/** What somebody else chose could steer the terminal, or break the line. */
export function printable(text: string): string {
  return text.toWellFormed().replace(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

function naturalWidths(cells: readonly (readonly string[])[]): number[] {
  return (cells[0] ?? []).map((_, at) => Math.max(...cells.map((row) => stringWidth(row[at] as string))));
}

/** The widest column gives way first. */
function fitted(natural: readonly number[], kept: readonly boolean[]): number[] {
  const borders = 3 * natural.length + 1;
  const available = tableWidth() - borders;
  const widths = natural.map((width) => Math.min(width, available));
  const widest = (places: number[], least: number) =>
    places
      .filter((at) => (widths[at] as number) > least)
      .sort((a, b) => (widths[b] as number) - (widths[a] as number))[0];
  const all = [...widths.keys()];
  const others = all.filter((at) => !kept[at]);
  for (let excess = widths.reduce((sum, width) => sum + width, 0) - available; excess > 0; excess -= 1) {
    const at = widest(others, NARROW) ?? widest(all, WHOLE_ID) ?? widest(others, NARROWEST) ?? widest(all, NARROWEST);
    if (at === undefined) {
      break;
    }
    widths[at] = (widths[at] as number) - 1;
  }
  return widths;
}

/** A file or a pipe has no width of its own. */
function tableWidth(): number {
  const { isTTY, columns } = process.stdout;
  return isTTY && columns > 0 ? Math.min(Math.max(columns, MIN_TERMINAL_WIDTH), MAX_WIDTH) : MAX_WIDTH;
}

function cut(text: string, width: number): string {
  if (stringWidth(text) <= width) {
    return text;
  }
  return `${start(text, width - 1)}${ELLIPSIS}`;
}

/** As many whole characters as fit. */
function start(text: string, width: number): string {
  let taken = '';
  for (const { segment } of graphemes.segment(text)) {
    if (stringWidth(taken + segment) > width) {
      break;
    }
    taken += segment;
  }
  return taken;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && stringWidth(`${line} ${word}`) > width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
    while (stringWidth(line) > width) {
      const fitting = start(line, width);
      if (fitting === '') {
        break;
      }
      lines.push(fitting);
      line = line.slice(fitting.length);
    }
  }
  return [...lines, line];
}

/** @param rows of cells, of lines. */
function draw(rows: readonly (readonly string[])[][], widths: readonly number[], hasHead: boolean): string {
  const rule = (left: string, middle: string, right: string) =>
    left + widths.map((width) => '─'.repeat(width + 2)).join(middle) + right;
  const drawn = rows.map((row) => {
    const height = Math.max(...row.map((lines) => lines.length));
    return Array.from({ length: height }, (_, line) => {
      const cells = row.map((lines, at) => ` ${padded(lines[line] ?? '', widths[at] as number)} `);
      return `│${cells.join('│')}│`;
    }).join('\n');
  });
  const [head, ...others] = drawn;
  const body = hasHead ? [head, rule('├', '┼', '┤'), ...others] : drawn;
  return [rule('┌', '┬', '┐'), ...body, rule('└', '┴', '┘')].join('\n');
}

function padded(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - stringWidth(text)));
}
