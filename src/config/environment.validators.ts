import { isIP } from 'node:net';
import { ValidateBy, type ValidationArguments } from 'class-validator';
import { CronTime } from 'cron';
import proxyaddr from 'proxy-addr';
import { databaseUrlFaults } from './database-address.js';
import { type Duration, wholeSeconds, wholeSecondsAllowed } from './duration.js';

/** A check of one environment variable; `allowed` completes the sentence "must be …". */
function variable(name: string, allowed: string, accepts: (value: string) => boolean, secret = false) {
  return ValidateBy({
    name,
    validator: {
      validate: (value: unknown) => typeof value === 'string' && accepts(value),
      defaultMessage: (found?: ValidationArguments) =>
        `${found?.property} must be ${allowed}${secret ? '' : `, not "${String(found?.value)}"`}`,
    },
  });
}

/** The value may hold a password, so the message names parameters of it at most. */
export const IsPostgresUrl = () =>
  ValidateBy({
    name: 'isPostgresUrl',
    validator: {
      validate: (value: unknown) => typeof value === 'string' && databaseUrlFaults(value).length === 0,
      defaultMessage: (found?: ValidationArguments) =>
        `${found?.property} ${databaseUrlFaults(String(found?.value)).join('; it ')}`,
    },
  });

export const IsSqlName = () =>
  variable('isSqlName', 'a name of letters, digits and underscores, at most 63, that starts with no digit', (value) =>
    /^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(value),
  );

export const IsSwitch = () => variable('isSwitch', 'true or false', (value) => value === 'true' || value === 'false');

export const IsOneOf = (values: readonly string[]) =>
  variable('isOneOf', `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`, (value) => values.includes(value));

export const IsWholeNumberText = (least: number, most: number) =>
  variable('isWholeNumberText', `a whole number from ${least} to ${most}`, (value) => {
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
    return number >= least && number <= most;
  });

/** Whole seconds, because that is what the database keeps of a timeout. */
export const IsDurationText = (least: Duration, most: Duration) =>
  variable(
    'isDurationText',
    wholeSecondsAllowed(least, most),
    (value) => wholeSeconds(value, least, most) !== undefined,
  );

export const IsSchedule = () =>
  variable('isSchedule', '"off" or a cron expression of five or six fields such as "* * * * *"', isSchedule);

export const IsKeyOfLength = (least: number) =>
  variable(
    'isKeyOfLength',
    `at least ${least} printable characters without spaces`,
    (value) => new RegExp(`^[\\x21-\\x7e]{${least},}$`).test(value),
    true,
  );

/** Whoever can change what it answers can make tokens, so it is fetched by https, or from this machine. */
export const IsKeySetUrl = () =>
  variable('isKeySetUrl', 'an https URL, or an http URL of this machine, without user and password', isKeySetUrl, true);

export const IsRateLimit = () =>
  variable(
    'isRateLimit',
    '"off" or a number of requests a minute, from 1 to 1000000',
    (value) => value === 'off' || (/^[1-9]\d{0,6}$/.test(value) && Number(value) <= 1_000_000),
  );

export const IsOriginList = () =>
  variable('isOriginList', 'origins such as https://admin.example.com, separated by commas', (value) =>
    listed(value).every(
      (origin) => /^https?:/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin,
    ),
  );

export const IsProxyList = () =>
  variable(
    'isProxyList',
    'addresses or networks such as 10.0.0.0/8, or the words loopback, linklocal, uniquelocal, separated by commas',
    (value) => listed(value).every(isProxy),
  );

/** The items of a list that is written with commas. */
export function listed(value: string): string[] {
  return value.split(',').map((item) => item.trim());
}

export const IsHostText = () =>
  variable('isHostText', 'a host name or an address to listen on', (value) => /^[A-Za-z0-9.:_-]{1,255}$/.test(value));

function isKeySetUrl(value: string): boolean {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const isSafe =
    url?.protocol === 'https:' ||
    (url?.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname));
  return isSafe && url.username === '' && url.password === '';
}

/** The library alone would take "1" and "0x7f.1" for addresses, too. */
function isProxy(value: string): boolean {
  const isAddress = isIP(value.split('/')[0] ?? '') !== 0;
  if (!isAddress && !['loopback', 'linklocal', 'uniquelocal'].includes(value)) {
    return false;
  }
  try {
    proxyaddr.compile(value);
    return true;
  } catch {
    return false;
  }
}

function isSchedule(value: string): boolean {
  if (value === 'off') {
    return true;
  }
  const fields = value.trim().split(/\s+/).length;
  if (fields !== 5 && fields !== 6) {
    return false;
  }
  try {
    new CronTime(value, 'UTC').sendAt();
    return true;
  } catch {
    return false;
  }
}
