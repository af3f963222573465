import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

const AUDIENCE = 'lapse';

interface SigningKey {
  kid: string;
  algorithm: string;
  privateKey: CryptoKey;
  publicJwk: JWK;
}

/** An OIDC issuer as far as Lapse sees one: it signs tokens and serves the keys to check them with, over HTTP. */
export class Issuer {
  private keys: SigningKey[] = [];
  private answers = true;

  private constructor(
    private readonly server: http.Server,
    readonly url: string,
  ) {}

  static async start(): Promise<Issuer> {
    const server = http.createServer((_request, response) => issuer.serve(response));
    server.listen(0, '127.0.0.1').unref();
    await once(server, 'listening');
    const issuer: Issuer = new Issuer(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await issuer.addKey('ES256');
    return issuer;
  }

  /** What Lapse needs to know of it. */
  get environment(): Record<string, string> {
    return { LAPSE_JWKS_URL: `${this.url}/jwks`, LAPSE_JWT_ISSUER: this.url, LAPSE_JWT_AUDIENCE: AUDIENCE };
  }

  /** Signs with it from now on. @param published what its JWK says differently; undefined for what it leaves out. */
  async addKey(algorithm: string, published: Record<string, string | undefined> = {}): Promise<SigningKey> {
    const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
    const kid = published.kid ?? `key-${this.keys.length + 1}-${algorithm}-${Date.now()}`;
    const publicJwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig', ...published } as JWK;
    const key = { kid, algorithm, privateKey, publicJwk };
    this.keys.push(key);
    return key;
  }

  /** The old keys are good for nothing from now on. */
  async rotate(): Promise<void> {
    this.keys = [];
    await this.addKey('ES256');
  }

  goDown(): void {
    this.answers = false;
  }

  comeBack(): void {
    this.answers = true;
  }

  /** A token that opens what its claims say, for five minutes, unless `changes` make it a bad one. */
  async token(
    claims: Record<string, unknown>,
    changes: { key?: SigningKey; expiresIn?: number; withoutKid?: boolean } = {},
  ): Promise<string> {
    const key = changes.key ?? (this.keys.at(-1) as SigningKey);
    const now = Math.floor(Date.now() / 1000);
    const payload = {
      iss: this.url,
      aud: AUDIENCE,
      sub: 'ada',
      iat: now,
      exp: now + (changes.expiresIn ?? 300),
      ...claims,
    };
    const header = { alg: key.algorithm, ...(changes.withoutKid ? {} : { kid: key.kid }) };
    return new SignJWT(payload).setProtectedHeader(header).sign(key.privateKey);
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private serve(response: http.ServerResponse): void {
    if (!this.answers) {
      response.writeHead(500).end();
      return;
    }
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ keys: this.keys.map(({ publicJwk }) => publicJwk) }));
  }
}
