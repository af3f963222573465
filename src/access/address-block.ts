import { isIPv6 } from 'node:net';

const MAPPED_IPV4 = '::ffff:';

/** What one sender can be told by: an IPv4 address; of an IPv6 address the first 64 bits, whose rest senders choose. */
export function addressBlock(address: string): string {
  if (address.toLowerCase().startsWith(MAPPED_IPV4)) {
    return address.slice(MAPPED_IPV4.length);
  }
  if (!isIPv6(address)) {
    return address;
  }
  const [before = '', after] = address.split('%')[0]?.split('::') ?? [];
  const groups = [before, after ?? ''].map((part) => (part === '' ? [] : part.split(':')));
  const [left = [], right = []] = groups;
  const missing = after === undefined ? 0 : 8 - left.length - right.length;
  const whole = [...left, ...Array<string>(missing).fill('0'), ...right];
  return `${whole
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
