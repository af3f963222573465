import { IsNotEmpty, IsOptional, ValidateIf } from 'class-validator';
import { MAX_TIMEOUT, MIN_TIMEOUT } from './duration.js';
import {
  IsDurationText,
  IsHostText,
  IsKeyOfLength,
  IsKeySetUrl,
  IsOneOf,
  IsOriginList,
  IsPostgresUrl,
  IsProxyList,
  IsRateLimit,
  IsSchedule,
  IsSqlName,
  IsSwitch,
  IsWholeNumberText,
} from './environment.validators.js';
import { LOG_FORMATS, LOG_LEVELS } from './log-settings.js';

/** Whoever guesses it sweeps the platform, and a limit holds back one address only. */
const MIN_CRON_SECRET = 16;

function usesHostSecret({ CRON_SECRET, INKEEP_AGENTS_RUN_API_BYPASS_SECRET }: Environment): boolean {
  return CRON_SECRET === undefined && INKEEP_AGENTS_RUN_API_BYPASS_SECRET !== undefined;
}

/** Every variable that Lapse reads, as text, with the check that it must pass. Defaults are in configuration.ts. */
export class Environment {
  @IsOptional() @IsPostgresUrl() DATABASE_URL?: string;
  @IsOptional() @IsPostgresUrl() LAPSE_LOCK_DATABASE_URL?: string;
  @IsOptional() @IsNotEmpty() LAPSE_DATA_DIR?: string;
  @IsOptional() @IsSqlName() LAPSE_SCHEMA?: string;
  @IsOptional() @IsSqlName() LAPSE_WATCHED_SCHEMA?: string;
  @IsOptional() @IsSwitch() LAPSE_CREATE_WATCHED_TABLES?: string;
  @IsOptional() @IsDurationText(MIN_TIMEOUT, MAX_TIMEOUT) LAPSE_APPROVAL_TIMEOUT?: string;
  @IsOptional() @IsSchedule() LAPSE_SWEEP_CRON?: string;
  @IsOptional() @IsWholeNumberText(1, 10_000) LAPSE_SWEEP_BATCH_SIZE?: string;
  @IsOptional() @IsDurationText('1s', '1d') LAPSE_SWEEP_TIME_BUDGET?: string;
  @IsOptional() @IsKeyOfLength(32) LAPSE_ADMIN_KEY?: string;
  @IsOptional() @IsKeyOfLength(MIN_CRON_SECRET) CRON_SECRET?: string;
  /** The name that the reference host knows beside CRON_SECRET; it is read only if that one is not set. */
  @ValidateIf(usesHostSecret) @IsKeyOfLength(MIN_CRON_SECRET) INKEEP_AGENTS_RUN_API_BYPASS_SECRET?: string;
  @IsOptional() @IsKeySetUrl() LAPSE_JWKS_URL?: string;
  @IsOptional() @IsNotEmpty() LAPSE_JWT_ISSUER?: string;
  @IsOptional() @IsNotEmpty() LAPSE_JWT_AUDIENCE?: string;
  @IsOptional() @IsNotEmpty() LAPSE_JWT_TENANT_CLAIM?: string;
  @IsOptional() @IsNotEmpty() LAPSE_JWT_ROLE_CLAIM?: string;
  @IsOptional() @IsNotEmpty() LAPSE_JWT_END_USER_CLAIM?: string;
  @IsOptional() @IsRateLimit() LAPSE_RATE_LIMIT?: string;
  @IsOptional() @IsOriginList() LAPSE_CORS_ORIGINS?: string;
  @IsOptional() @IsProxyList() LAPSE_TRUSTED_PROXIES?: string;
  @IsOptional() @IsSwitch() LAPSE_DOCS?: string;
  @IsOptional() @IsSwitch() LAPSE_DEMO?: string;
  @IsOptional() @IsOneOf(LOG_FORMATS) LAPSE_LOG?: string;
  @IsOptional() @IsOneOf(LOG_LEVELS) LAPSE_LOG_LEVEL?: string;
  @IsOptional() @IsHostText() HOST?: string;
  @IsOptional() @IsWholeNumberText(0, 65_535) PORT?: string;
}
