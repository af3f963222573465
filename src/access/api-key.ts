import { createHash, randomInt, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const PUBLIC_ID_LENGTH = 16;
const SECRET_LENGTH = 32;
const CHECKSUM_LENGTH = 6;
const FORMAT = new RegExp(
  `^lapse_([${ALPHABET}]{${PUBLIC_ID_LENGTH}})_([${ALPHABET}]{${SECRET_LENGTH}})([${ALPHABET}]{${CHECKSUM_LENGTH}})$`,
);

/** The parts of `lapse_<publicId>_<secret><checksum>`. */
export interface ApiKey {
  publicId: string;
  secret: string;
  /** The whole key, as its owner presents it. */
  text: string;
}

/** A new key of 190 random bits. The checksum lets a typo be told without a query, and scanners recognise a leak. */
export function generateApiKey(): ApiKey {
  const publicId = randomText(PUBLIC_ID_LENGTH);
  const secret = randomText(SECRET_LENGTH);
  return { publicId, secret, text: `lapse_${publicId}_${secret}${checksum(publicId, secret)}` };
}

/** Undefined for anything that can't be a key of ours. */
export function parseApiKey(text: string): ApiKey | undefined {
  const [, publicId, secret, sum] = FORMAT.exec(text) ?? [];
  return publicId && secret && sum === checksum(publicId, secret) ? { publicId, secret, text } : undefined;
}

/** A random secret needs no slow hash: there is nothing to guess that a fast one would give away. */
export function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Compares two secrets in a time that depends on neither. */
export function sameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(sha256(given), sha256(expected));
}

function checksum(publicId: string, secret: string): string {
  return inBase62(crc32(`${publicId}_${secret}`)).padStart(CHECKSUM_LENGTH, '0');
}

function inBase62(value: number): string {
  const rest = Math.floor(value / ALPHABET.length);
  return (rest > 0 ? inBase62(rest) : '') + ALPHABET[value % ALPHABET.length];
}

function randomText(length: number): string {
  return Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}
