import { isIP } from 'node:net';
import type { Request } from 'express';
import ipaddr from 'ipaddr.js';
import proxyaddr from 'proxy-addr';

type TrustProxy = (address: string, hop: number) => boolean;

/** An address with a port: `192.0.2.7:51234`, `[2001:db8::1]:51234`, or all eight groups of IPv6 with a ninth for the port. */
const WITH_PORT = /^(.+):\d{1,5}$/;

/**
 * Whether to believe the `X-Forwarded-For` of an address, for Express's setting "trust proxy". Proxies that write a port
 * are recognized too.
 */
export function trustProxies(proxies: readonly string[]): TrustProxy {
  const trusts = proxyaddr.compile([...proxies]);
  return (address, hop) => {
    const plain = plainAddress(address);
    return plain !== undefined && trusts(plain, hop);
  };
}

/**
 * The address that a request came from, without port, zone or brackets, an IPv4 address always as IPv4. If the nearest
 * proxy that is trusted names something else ("unknown", say), it is the proxy's own address; empty once the connection
 * is gone.
 */
export function clientAddress(request: Request): string {
  const trusts: TrustProxy = request.app.get('trust proxy fn');
  const hops = proxyaddr.all(request, trusts);
  return hops.map((hop) => plainAddress(hop)).findLast((address) => address !== undefined) ?? '';
}

/** What one client can be told by: an IPv4 address; of an IPv6 address the /64, the rest of which clients choose. */
export function addressBlock(address: string): string {
  if (isIP(address) !== 6) {
    return address;
  }
  const network = ipaddr.IPv6.parse(address).parts.slice(0, 4);
  return `${new ipaddr.IPv6([...network, 0, 0, 0, 0])}/64`;
}

/** Undefined if the text isn't an address. */
function plainAddress(text: string | undefined): string | undefined {
  const unquoted = text?.trim().replace(/^"(.*)"$/, '$1') ?? '';
  const candidates = [unquoted, WITH_PORT.exec(unquoted)?.[1] ?? ''].map((candidate) =>
    candidate.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, ''),
  );
  // Not ipaddr.js alone, which reads "1" and "0x7f.1" as IPv4.
  const address = candidates.find((candidate) => isIP(candidate) !== 0);
  return address === undefined ? undefined : ipaddr.process(address).toString();
}
