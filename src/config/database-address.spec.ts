import { expect, test } from '@jest/globals';
import { databaseUrlFaults, describeServer, parseDatabaseUrl } from './database-address.js';

test.each([
  ['', /must be a URL such as postgres:/],
  ['db.example:5432/app', /must be a URL such as postgres:/],
  ['host=db.example dbname=app', /must be a URL such as postgres:/],
  ['jdbc:postgresql://db.example/app', /must be a URL such as postgres:/],
  ['mysql://db.example/app', /must be a URL such as postgres:/],
  ['postgres:app', /must be a URL such as postgres:/],
  ['postgres://lapse:hunter2/x@db.example/app', /must be a URL such as .*percent-encoded/],
  ['postgres://lapse:hunter2#x@db.example/app', /must be a URL such as .*# is %23/],
  ['postgres://lapse:1#hunter2@db.example/app', /has a "#".*%23/],
  ['postgres://lapse:1?hunter2@db.example/app', /name of a parameter has an "@".*%3F/],
  ['postgres://lapse:1/hunter2@db.example/app', /name of the database .*"@".*percent-encoded/],
  ['postgres://lapse@db.example/app/', /name of the database has a "\/"/],
  ['postgres://one.example,two.example/app', /several hosts.*one/],
  ['postgres:///app?host=one.example,two.example', /several hosts.*one/],
  ['postgres://one.example:5432,two.example:5432/app', /several hosts.*one/],
  ['postgres:///app?port=none', /port=none; .* from 1 to 65535/],
  ['postgres://db.example:0/app', /port=0; .* from 1 to 65535/],
  ['postgres://db.example/app?sslmod=require', /has sslmod, which is not a parameter .*did you mean sslmode\?/],
  ['postgres://db.example/app?sslMode=require', /has sslMode, .*did you mean sslmode\?/],
  ['postgres://db.example/app?ssl_mode=verify-full', /has ssl_mode, .*did you mean sslmode\?/],
  ['postgres://db.example/app?sslmode=require&sslmode=disable', /sslmode more than once/],
])('"%s" is refused in words, without its password', (url, fault) => {
  const faults = databaseUrlFaults(url).join('; ');
  expect(faults).toMatch(fault);
  expect(faults).not.toMatch(/hunter2/);
});

test.each([
  'postgres://lapse:p%23%2F%40@db.example:5432/app?sslmode=require&application_name=x&connect_timeout=5',
  'postgresql://[::1]/app',
  'postgres:///app?host=/var/run/postgresql&port=5433',
  // What other programs that share the variable write there.
  'postgres://db.example/app?schema=public&pgbouncer=true&connection_limit=5&sslsni=1',
  'postgres://db.example/app?ssl=true',
])('"%s" is accepted', (url) => {
  expect(databaseUrlFaults(url)).toEqual([]);
});

test.each([
  ['postgres://lapse:x@db.example/app', 'db.example:5432'],
  ['postgres://lapse:x@[::1]:6000/app', '[::1]:6000'],
  ['postgres:///app?host=db.example&port=6000', 'db.example:6000'],
  ['postgres:///app?host=/var/run/postgresql', 'the socket in /var/run/postgresql'],
  ['postgres:///app', 'localhost:5432'],
])('%s leads to %s', (url, server) => {
  expect(describeServer(parseDatabaseUrl(url))).toBe(server);
});
