import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { readListenAddress } from './config/listen-address.js';

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

/** For the HEALTHCHECK of a container: ends with 0 if the service that `HOST` and `PORT` name is alive, else with 1. */
async function check(): Promise<void> {
  const { host, port } = readListenAddress();
  const addresses = isZeroAddress(host) ? OF_ALL_ADDRESSES : [host];
  try {
    await Promise.any(addresses.map((address) => assertAlive(address, port)));
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${(error as AggregateError).errors.map(({ message }) => message).join('; ')}\n`);
    process.exit(1);
  }
}

/**
 * Not by `fetch`, which refuses ports such as 6000, and not by the global agent: both can be led through a proxy by the
 * environment.
 */
async function assertAlive(host: string, port: number): Promise<void> {
  const request = get({ host, port, path: '/health/live', agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const [{ statusCode }] = (await once(request, 'response')) as [IncomingMessage];
  if (statusCode !== 200) {
    throw new Error(`${host} port ${port} answered ${statusCode}`);
  }
}

await check();
