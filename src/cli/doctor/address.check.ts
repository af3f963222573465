import { once } from 'node:events';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { assertAlive } from '../../liveness-probe.js';
import { ListenFailedError } from '../../start.errors.js';
import type { Check } from './check.js';
import { fail, ok } from './finding.js';

/** As the service does when it starts: it listens there for a moment, unless a service does so already. */
export const addressCheck: Check = {
  name: 'address',
  needs: 'configuration',
  async look({ host, port }) {
    const server = createServer();
    try {
      await once(server.listen(port, host), 'listening');
    } catch (error) {
      const cause = error as NodeJS.ErrnoException;
      if (cause.code === 'EADDRINUSE' && (await isAlive(host, port))) {
        return ok(`a service listens on HOST=${host} PORT=${port}`);
      }
      const { reason, remedy } = new ListenFailedError(host, port, cause);
      return fail(reason, remedy);
    }
    await promisify(server.close.bind(server))();
    return ok(`HOST=${host} PORT=${port} is free to listen on`);
  },
};

function isAlive(host: string, port: number): Promise<boolean> {
  return assertAlive({ host, port }).then(
    () => true,
    () => false,
  );
}
