import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Certificates that OpenSSL made in a folder of their own. */
export class Certificates {
  readonly folder = mkdtempSync(join(tmpdir(), 'lapse-certificates-'));

  /** A certificate authority: `<name>.crt` and `<name>.key`. */
  authority(name: string): void {
    this.openssl('req', '-x509', ...this.newKey(name), '-out', `${name}.crt`, '-days', '30', '-subj', `/CN=${name}`);
  }

  /** A certificate that an authority signed. @param subject its common name. @param san subjectAltName, such as `DNS:db`. */
  issue(name: string, by: string, subject: string, san = `DNS:${subject}`, days = '30'): void {
    writeFileSync(join(this.folder, `${name}.ext`), `subjectAltName=${san}`);
    this.openssl('req', ...this.newKey(name), '-out', `${name}.csr`, '-subj', `/CN=${subject}`);
    const signer = ['-CA', `${by}.crt`, '-CAkey', `${by}.key`, '-CAcreateserial'];
    const output = ['-out', `${name}.crt`, '-days', days, '-extfile', `${name}.ext`];
    this.openssl('x509', '-req', '-in', `${name}.csr`, ...signer, ...output);
  }

  path(file: string): string {
    return join(this.folder, file);
  }

  read(file: string): string {
    return readFileSync(this.path(file), 'utf8');
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  private newKey(name: string): string[] {
    return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`];
  }

  private openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: 'ignore' });
  }
}
