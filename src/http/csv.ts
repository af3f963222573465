import { Readable } from 'node:stream';
import { StreamableFile } from '@nestjs/common';
import { stringify } from 'csv-stringify';
import type { Request } from 'express';

/** True where the caller would rather have a table for a spreadsheet than JSON. */
export function wantsCsv(request: Request): boolean {
  return request.accepts(['application/json', 'text/csv']) === 'text/csv';
}

/**
 * RFC 4180, with a header line. Rows are read as fast as the caller takes them, so that a list of any length needs no
 * more memory than some rows. Where reading fails in the middle, the connection breaks off: a file that merely ended
 * would look whole. Text that a spreadsheet would take for a formula is quoted.
 */
export function csvFile<Row extends object>(
  name: string,
  columns: readonly (keyof Row & string)[],
  rows: AsyncIterable<Row>,
): StreamableFile {
  const table = Readable.from(rows).compose(
    stringify({ header: true, columns: [...columns], record_delimiter: 'windows', escape_formulas: true }),
  );
  const options = { type: 'text/csv; charset=utf-8', disposition: `attachment; filename="${name}.csv"` };
  const file = new StreamableFile(Readable.from(table, { objectMode: false }), options);
  return file.setErrorHandler((_error, response) => response.destroy?.());
}
