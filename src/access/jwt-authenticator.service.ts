import { Injectable } from '@nestjs/common';
import {
  createRemoteJWKSet,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose';
import { Configuration, type JwtConfiguration } from '../config/configuration.js';
import { isText, MAX_ID_CHARACTERS } from '../http/input.validators.js';
import { IssuerUnavailableError } from './access.errors.js';
import type { Principal } from './principal.js';
import { END_USER, ROLES, type Role } from './role.js';
import { TenantScope } from './tenant-scope.js';

const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'];
const CLOCK_TOLERANCE_SECONDS = 30;

/** How the issuer's keys are fetched: kept for ten minutes, asked for again when a token names another, every 5 s at most. */
const KEY_SET = { timeoutDuration: 5_000, cooldownDuration: 5_000, cacheMaxAge: 600_000 };

/** What jose throws where the fault is the issuer's and not the token's. */
const ISSUER_TROUBLE = ['ERR_JOSE_GENERIC', 'ERR_JWKS_INVALID', 'ERR_JWKS_TIMEOUT'];

type RemoteKeySet = ReturnType<typeof createRemoteJWKSet>;

/** Tokens of one OIDC issuer. They are always bound to a tenant: the platform is opened by keys alone. */
@Injectable()
export class JwtAuthenticator {
  private readonly jwt: JwtConfiguration | undefined;
  private readonly keySet: RemoteKeySet | undefined;

  constructor(configuration: Configuration) {
    this.jwt = configuration.jwt;
    this.keySet = this.jwt && createRemoteJWKSet(new URL(this.jwt.keySetUrl), KEY_SET);
  }

  /**
   * Undefined where the token isn't genuine, isn't for us, is out of its time, or lacks tenant, role or subject.
   *
   * @throws IssuerUnavailableError where the keys can't be fetched.
   */
  async authenticate(token: string): Promise<Principal | undefined> {
    if (!this.jwt || !this.keySet) {
      return undefined;
    }
    try {
      return principalOf(await verify(token, this.keySet, optionsOf(this.jwt)), this.jwt);
    } catch (error) {
      if (error instanceof errors.JOSEError && !ISSUER_TROUBLE.includes(error.code)) {
        return undefined;
      }
      throw new IssuerUnavailableError(error);
    }
  }
}

function optionsOf({ issuer, audience }: JwtConfiguration): JWTVerifyOptions {
  return {
    algorithms: ALGORITHMS,
    issuer,
    audience,
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
    requiredClaims: ['exp', 'sub'],
  };
}

async function verify(token: string, keySet: RemoteKeySet, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return await verifyWithAnyKey(token, keySet, options);
  } catch (error) {
    // A `kid` that isn't known makes jose fetch the keys again. A token without one may be signed by a new key as well.
    const mayBeOfNewKey = error instanceof errors.JWSSignatureVerificationFailed && !namesKey(token);
    if (!mayBeOfNewKey || keySet.coolingDown) {
      throw error;
    }
    await keySet.reload();
    return verifyWithAnyKey(token, keySet, options);
  }
}

/** If several keys fit, because the token has no `kid` or the keys share it, each is tried. */
async function verifyWithAnyKey(token: string, keySet: RemoteKeySet, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keySet, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) {
      throw error;
    }
    for await (const key of error) {
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (fault) {
        // What isn't jose's own error says that the key can't be used, as one of RSA that is too short.
        if (fault instanceof errors.JOSEError && !(fault instanceof errors.JWSSignatureVerificationFailed)) {
          throw fault;
        }
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

function namesKey(token: string): boolean {
  return decodeProtectedHeader(token).kid !== undefined;
}

function principalOf(payload: JWTPayload, claims: JwtConfiguration): Principal | undefined {
  const [subject, tenantId, role] = [
    idIn(payload.sub),
    idIn(payload[claims.tenantClaim]),
    roleIn(payload[claims.roleClaim]),
  ];
  if (!subject || !tenantId || !role) {
    return undefined;
  }
  const principal = {
    kind: 'jwt',
    id: `jwt:${subject}`,
    role,
    scope: TenantScope.tenant(tenantId),
    expiresAt: streamsExpireAt((payload.exp ?? 0) * 1000),
  } as const;
  if (role !== END_USER) {
    return principal;
  }
  const endUserId = idIn(payload[claims.endUserClaim]);
  return endUserId ? { ...principal, endUserId } : undefined;
}

/** The tolerance is for a token that comes late; one that came in time needs none. */
function streamsExpireAt(expiry: number): number {
  return expiry > Date.now() ? expiry : expiry + CLOCK_TOLERANCE_SECONDS * 1000;
}

function idIn(claim: unknown): string | undefined {
  return isText(claim, MAX_ID_CHARACTERS) ? claim : undefined;
}

/** Issuers write one role, or a list among those of other services; of several of ours the highest counts. */
function roleIn(claim: unknown): Role | typeof END_USER | undefined {
  const held: unknown[] = Array.isArray(claim) ? claim : [claim];
  return [...ROLES].reverse().find((role) => held.includes(role)) ?? (held.includes(END_USER) ? END_USER : undefined);
}
