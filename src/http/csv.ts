import { Readable } from 'node:stream';
import { StreamableFile } from '@nestjs/common';
import { stringify } from 'csv-stringify/sync';
import { RawJson } from './raw-json.interceptor.js';

/** What the CSV of a list looks like. */
export interface CsvTable {
  /** Of the file that a browser saves. */
  name: string;
  /** Paths of members, such as `scope.tenantId`: they are the header line too. */
  columns: readonly string[];
}

/**
 * RFC 4180, with a header line. Rows are read as fast as the caller takes them, so that a list of any length needs no
 * more memory than some chunks of rows; a chunk becomes text at once, since a stream of single rows costs several times
 * the time and memory. If reading fails in the middle, the connection is cut: a file that merely ended would look whole.
 */
export function csvFile({ name, columns }: CsvTable, chunks: AsyncIterable<readonly object[]>): StreamableFile {
  const text = Readable.from(tableOf(columns, chunks), { objectMode: false });
  const options = { type: 'text/csv; charset=utf-8', disposition: `attachment; filename="${name}.csv"` };
  return new StreamableFile(text, options).setErrorHandler((_error, response) => response.destroy?.());
}

async function* tableOf(columns: readonly string[], chunks: AsyncIterable<readonly object[]>): AsyncIterable<string> {
  const paths = columns.map((column) => column.split('.'));
  yield stringify([columns], OPTIONS);
  for await (const rows of chunks) {
    if (rows.length > 0) {
      yield stringify(
        rows.map((row) => paths.map((path) => cellOf(row, path))),
        OPTIONS,
      );
    }
  }
}

/**
 * Readers differ in what ends a line, and in whether they trim: a field with any control character or line separator,
 * or with white space at its edge, is enclosed in quotation marks.
 */
const OPTIONS = { record_delimiter: 'windows', quoted_match: /[\p{Cc}\p{Zl}\p{Zp}\ufeff]|^\s|\s$/u } as const;

function cellOf(row: object, path: readonly string[]): string {
  const value = path.reduce<unknown>((found, name) => (found as Record<string, unknown> | null)?.[name], row);
  if (value === null || value === undefined) {
    return '';
  }
  if (typeof value === 'number' || typeof value === 'boolean') {
    return String(value);
  }
  const text = typeof value === 'string' ? value : value instanceof RawJson ? value.text : JSON.stringify(value);
  return FORMULA.test(text) ? `'${text}` : text;
}

/**
 * Text that a spreadsheet may take for a formula: its first visible character is `=`, `+`, `-` or `@`, or a variant of
 * one that Unicode's compatibility mapping turns into it. Spreadsheets trim, and some drop what can't be seen. Such text
 * gets an apostrophe, as OWASP advises; numbers don't.
 */
const FORMULA =
  /^(?:[^\p{L}\p{N}\p{P}\p{S}]|\p{Default_Ignorable_Code_Point}|\u2800)*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u207a-\u207c\u208a-\u208c\u2a75\u2a76\u2212]/u;
