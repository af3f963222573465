import { request } from 'node:http';
import { json } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

/** What a command left behind. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Request {
  args: readonly string[];
  environment: Record<string, string>;
}

/** Has a command run by the server that listens on `socketPath`. */
export function runOn(socketPath: string, command: Request): Promise<Ended> {
  return new Promise((resolve, reject) => {
    request({ socketPath, method: 'POST' }, (response) => resolve(json(response) as Promise<Ended>))
      .on('error', reject)
      .end(JSON.stringify(command));
  });
}

// As a program it stands in for `node dist/cli.js` in a shell.
if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { COMMAND_SERVER = '', ...environment } = process.env;
  const args = process.argv.slice(2);
  const { code, stdout, stderr } = await runOn(COMMAND_SERVER, {
    args,
    environment: environment as Record<string, string>,
  });
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = code ?? 1;
}
