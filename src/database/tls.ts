import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { type ConnectionOptions, createSecureContext } from 'node:tls';
import type { TlsSettings } from '../config/database-address.js';
import { TlsFileError } from './database.errors.js';

/**
 * What the driver is given, for each mode with the meaning that libpq gives it: the certificate is checked if there is a
 * certificate authority to check it by, and the host name only by `verify-full`.
 */
export function tlsOptions({ mode, rootCertFile, minVersion, maxVersion }: TlsSettings): ConnectionOptions {
  const isChecked = rootCertFile !== undefined || mode === 'verify-ca' || mode === 'verify-full';
  return {
    rejectUnauthorized: isChecked,
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    ...(minVersion ? { minVersion } : {}),
    ...(maxVersion ? { maxVersion } : {}),
  };
}

/**
 * Reads the files into options that `tlsOptions` has made. Done for each connection, because certificates are renewed
 * while a service runs.
 *
 * @throws TlsFileError
 */
export function readTlsFiles(options: ConnectionOptions, tls: TlsSettings): void {
  const read = (name: string, path: string | undefined) => {
    try {
      return path === undefined ? undefined : readFileSync(path, 'utf8');
    } catch (error) {
      throw new TlsFileError(`${name}=${path} can't be read`, error);
    }
  };
  const files = {
    ca: read('sslrootcert', tls.rootCertFile),
    cert: read('sslcert', tls.certFile),
    key: read('sslkey', tls.keyFile),
    crl: read('sslcrl', tls.crlFile),
    passphrase: tls.keyPassphrase,
  };
  if (files.ca !== undefined && !/^-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/m.test(files.ca)) {
    // OpenSSL would take it for an empty list, and the error would blame the certificate of the server.
    throw new TlsFileError(`sslrootcert=${tls.rootCertFile} has no certificate in PEM`);
  }
  const given = Object.fromEntries(Object.entries(files).filter(([, value]) => value !== undefined));
  try {
    createSecureContext(given);
  } catch (error) {
    const names = [tls.rootCertFile, tls.certFile, tls.keyFile, tls.crlFile].filter(Boolean).join(', ');
    throw new TlsFileError(`one of ${names} is no usable certificate or key, or two don't belong together`, error);
  }
  Object.assign(options, given);
}

/** Whether an error of the driver is about TLS itself, not about a network or a server that is away. */
export function isTlsFailure(error: Error & { code?: unknown }): boolean {
  const { code } = error;
  return (
    typeof code === 'string' &&
    (/^ERR_(SSL|TLS|OSSL)_|^EPROTO$/.test(code) ||
      // OpenSSL's names for what is wrong with a certificate share the field with system errors and SQLSTATEs.
      (/^(?!ERR_)[A-Z_]{7,}$/.test(code) && !('syscall' in error) && !(code in constants.errno)))
  );
}

/** What OpenSSL says, without its addresses and source lines: of "error:0A00042E:SSL routines:read:alert:file:1:" the alert. */
export function tlsReason(error: Error & { code?: unknown; reason?: string }): string {
  const [, fromMessage] = /error:[0-9A-F]+:[^:]*:[^:]*:([^:]+)/.exec(error.message) ?? [];
  return `${error.reason ?? fromMessage ?? error.message} (${error.code})`;
}

/** What a person can do about it; the code is Node's. */
export function tlsRemedy(code: string, mode: string): string {
  switch (code) {
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return 'name the file of the certificate authority that signed it with sslrootcert';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `connect by a name that is in the certificate; sslmode=${mode} checks it, verify-ca does not`;
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return 'have the certificate renewed, and check the clocks';
    case 'EPROTO':
    case 'ERR_SSL_NO_PROTOCOLS_AVAILABLE':
      return 'check ssl_min_protocol_version and ssl_max_protocol_version, here and on the server';
    default:
      return 'check the certificate of the server, and sslmode, sslrootcert, sslcert and sslkey';
  }
}
