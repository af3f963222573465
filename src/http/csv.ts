import { Readable } from 'node:stream';
import { StreamableFile } from '@nestjs/common';
import { stringify } from 'csv-stringify/sync';
import type { Request } from 'express';

/** True where the caller would rather have a table for a spreadsheet than JSON. */
export function wantsCsv(request: Request): boolean {
  return request.accepts(['application/json', 'text/csv']) === 'text/csv';
}

/**
 * RFC 4180, with a header line. Rows are read as fast as the caller takes them, so that a list of any length needs no
 * more memory than some chunks of rows; a chunk becomes text at once, since a stream of single rows costs several times
 * the time and memory. Where reading fails in the middle, the connection breaks off: a file that merely ended would
 * look whole. Text that a spreadsheet would take for a formula is quoted.
 */
export function csvFile<Row extends object>(
  name: string,
  columns: readonly (keyof Row & string)[],
  chunks: AsyncIterable<Row[]>,
): StreamableFile {
  const text = Readable.from(tableOf(columns, chunks), { objectMode: false });
  const options = { type: 'text/csv; charset=utf-8', disposition: `attachment; filename="${name}.csv"` };
  return new StreamableFile(text, options).setErrorHandler((_error, response) => response.destroy?.());
}

async function* tableOf<Row extends object>(
  columns: readonly (keyof Row & string)[],
  chunks: AsyncIterable<Row[]>,
): AsyncIterable<string> {
  const options = { columns: [...columns], record_delimiter: 'windows', escape_formulas: true } as const;
  yield stringify([], { ...options, header: true });
  for await (const rows of chunks) {
    if (rows.length > 0) {
      yield stringify(rows, options);
    }
  }
}
