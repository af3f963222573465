import Table from 'cli-table3';

/** Control characters of ids and names that somebody else chose could steer the terminal. */
const CONTROL = /[\p{Cc}\p{Bidi_Control}]/gu;

/** One document for programs, and nothing else on standard output. */
export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/** A row for each thing, below a heading. */
export function printList(head: string[], rows: readonly string[][]): void {
  const table = new Table({ head, style: PLAIN });
  table.push(...rows.map((row) => row.map(printable)));
  printLine(table.toString());
}

/** One thing, a row for each of its properties. */
export function printProperties(properties: Record<string, string | number | null>): void {
  const table = new Table({ style: PLAIN });
  table.push(
    ...Object.entries(properties)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, printable(String(value))]),
  );
  printLine(table.toString());
}

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function printable(text: string): string {
  return text.replace(CONTROL, '\ufffd');
}

/** No colours: they would have to be looked for in a file or a pipe, and add nothing. */
const PLAIN = { head: [], border: [], compact: true };
