import { resolve } from 'node:path';
import { plainToInstance } from 'class-transformer';
import { type ValidationError, validateSync } from 'class-validator';
import { ConfigurationInvalidError } from './configuration.errors.js';
import { type Duration, milliseconds } from './duration.js';
import { Environment } from './environment.js';
import { listed } from './environment.validators.js';
import { readListenAddress } from './listen-address.js';
import { membersOf, nearestName } from './nearest-name.js';

/** What Lapse runs with. Injected by its class; durations are in milliseconds. */
export class Configuration {
  /** True where no `DATABASE_URL` is given: Lapse brings its own PostgreSQL. */
  readonly embedded: boolean;
  /** Empty in embedded mode until `withDatabase` names the server that was started. */
  readonly databaseUrl: string;
  readonly lockDatabaseUrl: string;
  /** Absolute path. */
  readonly dataDirectory: string;
  readonly schema: string;
  readonly watchedSchema: string;
  readonly createWatchedTables: boolean;
  readonly approvalTimeout: number;
  /** Cron expression of five or six fields in UTC; undefined where the schedule is off. */
  readonly sweepCron: string | undefined;
  /** Whether the process keeps records true and small on a timer; commands don't. */
  readonly housekeeping: boolean = true;
  readonly sweepBatchSize: number;
  readonly sweepTimeBudget: number;
  readonly adminKey: string | undefined;
  /** Opens the cron route; undefined: nothing does. */
  readonly cronSecret: string | undefined;
  /** Undefined where no issuer is configured: no JWT opens anything. */
  readonly jwt: JwtConfiguration | undefined;
  /** Requests a minute for each principal, on each replica; undefined for no limit. */
  readonly rateLimit: number | undefined;
  /** Where browsers may call from; empty: nowhere but here. */
  readonly corsOrigins: readonly string[];
  /** Whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  readonly docs: boolean;
  /** Whether the demo host plays the other service; never outside embedded mode. */
  readonly demo: boolean;
  readonly host: string;
  /** 0 means any free port. */
  readonly port: number;

  constructor(environment: Environment) {
    this.embedded = environment.DATABASE_URL === undefined;
    this.databaseUrl = environment.DATABASE_URL ?? '';
    this.lockDatabaseUrl = environment.LAPSE_LOCK_DATABASE_URL ?? this.databaseUrl;
    this.dataDirectory = resolve(environment.LAPSE_DATA_DIR ?? '.lapse');
    this.schema = environment.LAPSE_SCHEMA ?? 'lapse';
    this.watchedSchema = environment.LAPSE_WATCHED_SCHEMA ?? 'public';
    this.createWatchedTables = isOn(environment.LAPSE_CREATE_WATCHED_TABLES) ?? this.embedded;
    this.demo = isOn(environment.LAPSE_DEMO) ?? this.embedded;
    this.approvalTimeout = inMilliseconds(environment.LAPSE_APPROVAL_TIMEOUT ?? (this.demo ? '1m' : '30m'));
    const sweepCron = environment.LAPSE_SWEEP_CRON ?? (this.demo ? '*/5 * * * * *' : '* * * * *');
    this.sweepCron = sweepCron === 'off' ? undefined : sweepCron;
    this.sweepBatchSize = Number(environment.LAPSE_SWEEP_BATCH_SIZE ?? 1000);
    this.sweepTimeBudget = inMilliseconds(environment.LAPSE_SWEEP_TIME_BUDGET ?? '50s');
    this.adminKey = environment.LAPSE_ADMIN_KEY;
    this.cronSecret = environment.CRON_SECRET ?? environment.INKEEP_AGENTS_RUN_API_BYPASS_SECRET;
    this.jwt = jwtConfiguration(environment);
    const rateLimit = environment.LAPSE_RATE_LIMIT ?? '1200';
    this.rateLimit = rateLimit === 'off' ? undefined : Number(rateLimit);
    this.corsOrigins = listed(environment.LAPSE_CORS_ORIGINS ?? '').filter(Boolean);
    this.trustedProxies = listed(environment.LAPSE_TRUSTED_PROXIES ?? '').filter(Boolean);
    this.docs = isOn(environment.LAPSE_DOCS) ?? true;
    ({ host: this.host, port: this.port } = readListenAddress(environment));
  }

  /** The same configuration, on the embedded server at `url`; a service gives it the admin key that its data directory keeps. */
  withEmbedded(server: { url: string; adminKey?: string }): Configuration {
    // It listens on the loopback address alone, and speaks no TLS.
    const url = `${server.url}?sslmode=disable`;
    return Object.assign(Object.create(Configuration.prototype), this, {
      databaseUrl: url,
      lockDatabaseUrl: url,
      adminKey: this.adminKey ?? server.adminKey,
    });
  }

  /** The same configuration, of a command: it sweeps on request only, and leaves housekeeping to the service. */
  asCommand(): Configuration {
    return Object.assign(Object.create(Configuration.prototype), this, { sweepCron: undefined, housekeeping: false });
  }
}

/** Which tokens are accepted, and where in them it stands who their bearer is. */
export interface JwtConfiguration {
  keySetUrl: string;
  issuer: string;
  audience: string;
  tenantClaim: string;
  roleClaim: string;
  endUserClaim: string;
}

/** Variables that Lapse reads although other programs use the same names. */
const SHARED_NAMES = ['DATABASE_URL', 'CRON_SECRET', 'INKEEP_AGENTS_RUN_API_BYPASS_SECRET', 'HOST', 'PORT'];

/**
 * Reads and checks the environment. A variable that is set to nothing counts as not set.
 *
 * @throws ConfigurationInvalidError with every fault at once.
 */
export function readConfiguration(variables: NodeJS.ProcessEnv = process.env): Configuration {
  const ours = Object.entries(variables).filter(
    ([name, value]) =>
      (name.startsWith('LAPSE_') || SHARED_NAMES.includes(name)) && value !== undefined && value !== '',
  );
  const environment = plainToInstance(Environment, Object.fromEntries(ours));
  const errors = validateSync(environment, { whitelist: true, forbidNonWhitelisted: true });
  const faults = [...errors.flatMap(describeFault), ...contradictions(environment)];
  if (faults.length > 0) {
    throw new ConfigurationInvalidError(faults);
  }
  return new Configuration(environment);
}

function describeFault(error: ValidationError): string[] {
  return Object.entries(error.constraints ?? {}).map(([constraint, message]) =>
    constraint === 'whitelistValidation' ? unknownVariable(error.property) : message,
  );
}

function unknownVariable(name: string): string {
  const nearest = nearestName(name, membersOf(Environment));
  const hint = nearest === undefined ? '' : `did you mean ${nearest}? `;
  return `${name} is not a variable of Lapse; ${hint}The README lists those that are`;
}

function contradictions(environment: Environment): string[] {
  const faults: string[] = [];
  if (environment.LAPSE_LOCK_DATABASE_URL !== undefined && environment.DATABASE_URL === undefined) {
    faults.push('LAPSE_LOCK_DATABASE_URL needs DATABASE_URL: the embedded PostgreSQL takes its own locks');
  }
  if (environment.LAPSE_DEMO === 'true' && environment.DATABASE_URL !== undefined) {
    faults.push('LAPSE_DEMO=true would write made-up executions into DATABASE_URL; leave one of the two out');
  }
  const [needed, optional] = [
    ['LAPSE_JWKS_URL', 'LAPSE_JWT_ISSUER', 'LAPSE_JWT_AUDIENCE'] as const,
    ['LAPSE_JWT_TENANT_CLAIM', 'LAPSE_JWT_ROLE_CLAIM', 'LAPSE_JWT_END_USER_CLAIM'] as const,
  ];
  const missing = needed.filter((name) => environment[name] === undefined);
  const given = [...needed, ...optional].filter((name) => environment[name] !== undefined);
  if (missing.length > 0 && given.length > 0) {
    faults.push(`${given.join(', ')} needs ${missing.join(' and ')}: set ${needed.join(', ')}, or none`);
  }
  return faults;
}

function jwtConfiguration(environment: Environment): JwtConfiguration | undefined {
  const { LAPSE_JWKS_URL: keySetUrl, LAPSE_JWT_ISSUER: issuer, LAPSE_JWT_AUDIENCE: audience } = environment;
  return keySetUrl && issuer && audience
    ? {
        keySetUrl,
        issuer,
        audience,
        tenantClaim: environment.LAPSE_JWT_TENANT_CLAIM ?? 'tenant_id',
        roleClaim: environment.LAPSE_JWT_ROLE_CLAIM ?? 'role',
        endUserClaim: environment.LAPSE_JWT_END_USER_CLAIM ?? 'sub',
      }
    : undefined;
}

/** Of a text that the environment's own check has already accepted as a duration. */
function inMilliseconds(text: string): number {
  return milliseconds(text as Duration);
}

function isOn(value: string | undefined): boolean | undefined {
  return value === undefined ? undefined : value === 'true';
}
