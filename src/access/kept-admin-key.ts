import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The admin key of embedded mode: made once, kept in the data directory for its owner's eyes alone. */
export async function keptAdminKey(dataDirectory: string): Promise<string> {
  const file = join(dataDirectory, 'admin-key');
  await writeFile(file, `${randomBytes(32).toString('hex')}\n`, { flag: 'wx', mode: 0o600 }).catch(unlessItExists);
  return (await readFile(file, 'utf8')).trim();
}

function unlessItExists(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') {
    throw error;
  }
}
