import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';

const TIMEOUT_MS = 2_500;

/**
 * Addresses that reach a service that listens on all of them. `::` takes IPv4 as well, unless the system says otherwise,
 * and a container may have no IPv6 loopback address.
 */
const OF_ALL_ADDRESSES = ['127.0.0.1', '::1'];

/** All ways to write 0.0.0.0 and ::, the zero address. */
function isZeroAddress(host: string): boolean {
  return /^[0.]+$|^[0:]*::?[0:]*$|^::ffff:0\.0\.0\.0$/i.test(host);
}

/**
 * Asks whether the service that listens on this address is alive.
 *
 * @throws Error if it is not, or if nothing listens there.
 */
export async function assertAlive({ host, port }: { host: string; port: number }): Promise<void> {
  if (port === 0) {
    throw new Error('PORT=0 means any free port, and nobody knows which one was taken; set PORT to a number');
  }
  const addresses = isZeroAddress(host) ? OF_ALL_ADDRESSES : [host];
  await Promise.any(addresses.map((address) => ask(address, port))).catch((error: AggregateError) => {
    throw new Error(error.errors.map(({ message }) => message).join('; '));
  });
}

/**
 * Not by `fetch`, which refuses ports such as 6000, and not by the global agent: both can be led through a proxy by the
 * environment.
 */
async function ask(host: string, port: number): Promise<void> {
  const request = get({ host, port, path: '/health/live', agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const [{ statusCode }] = (await once(request, 'response')) as [IncomingMessage];
  request.destroy();
  if (statusCode !== 200) {
    throw new Error(`${host} port ${port} answered ${statusCode}`);
  }
}
