import { type Column, listTable, propertyTable } from './table.js';

export { printable } from './table.js';

/** One document for programs, and nothing else on standard output. */
export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/** A row for each thing, below a heading. @param whole what shows the same without a cut. */
export function printList(head: readonly Column[], rows: readonly string[][], whole?: string): void {
  printLine(listTable(head, rows, whole));
}

/** One thing, a row for each of its properties. */
export function printProperties(properties: Record<string, string | number | null>): void {
  printLine(
    propertyTable(
      Object.entries(properties)
        .filter(([, value]) => value !== null)
        .map(([name, value]) => [name, String(value)]),
    ),
  );
}

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}
