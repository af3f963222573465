import { expect, test } from '@jest/globals';
import type { Request } from 'express';
import { addressBlock, clientAddress, trustProxies } from './client-address.js';

function clientOf(forwardedFor: string | undefined, peer: string | undefined = '10.0.0.1'): string {
  const trusts = trustProxies(['10.0.0.0/8', 'fd00::/8']);
  const request = {
    headers: forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor },
    socket: { remoteAddress: peer },
    app: { get: () => trusts },
  };
  return clientAddress(request as unknown as Request);
}

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['203.0.113.7:51234', '203.0.113.7'],
  ['2001:db8::7', '2001:db8::7'],
  ['[2001:db8::7]', '2001:db8::7'],
  ['[2001:db8::7]:51234', '2001:db8::7'],
  ['"[2001:db8::7]:51234"', '2001:db8::7'],
  ['2001:0DB8:0:0:0:0:0:7', '2001:db8::7'],
  ['2001:db8:0:0:0:0:0:7:51234', '2001:db8::7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['::ffff:cb00:7107', '203.0.113.7'],
  ['[::ffff:203.0.113.7]:51234', '203.0.113.7'],
  ['fe80::1%eth0', 'fe80::1'],
  ['198.51.100.9, 203.0.113.7', '203.0.113.7'],
  ['198.51.100.9:1, 203.0.113.7:2, 10.0.0.9:3', '203.0.113.7'],
  ['203.0.113.7:2, [fd00::9]:3, ::ffff:10.0.0.9', '203.0.113.7'],
  ['10.0.0.9:3', '10.0.0.9'],
  ['unknown', '10.0.0.1'],
  ['203.0.113.7, unknown, 10.0.0.9', '10.0.0.9'],
  ['0x7f.1', '10.0.0.1'],
  ['', '10.0.0.1'],
  [undefined, '10.0.0.1'],
])('behind trusted proxies, X-Forwarded-For %p is a client at %p', (header, client) => {
  expect(clientOf(header)).toBe(client);
});

test('whoever is not a trusted proxy is the client itself, whatever it says', () => {
  expect(clientOf('203.0.113.7:1', '::ffff:198.51.100.9')).toBe('198.51.100.9');
  expect(clientOf('203.0.113.7:1', '::ffff:10.0.0.1')).toBe('203.0.113.7');
});

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::1', '::/64'],
  ['2001:db8::1', '2001:db8::/64'],
  ['2001:0DB8:0001:0002:3:4:5:6', '2001:db8:1:2::/64'],
  ['fe80::1', 'fe80::/64'],
  ['', ''],
  ['local', 'local'],
])('%p counts as %p', (address, block) => {
  expect(addressBlock(address)).toBe(block);
});
