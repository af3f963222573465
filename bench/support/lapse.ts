import 'reflect-metadata';
import { type DynamicModule, type INestApplicationContext, Logger, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Caller } from '../../src/access/principal.js';
import { TenantScope } from '../../src/access/tenant-scope.js';
import { AppModule } from '../../src/app.module.js';
import { readConfiguration } from '../../src/config/configuration.js';
import { createApp } from '../../src/configure-app.js';
import { openDatabase } from '../../src/database/open-database.js';
import { TIMEOUT_SECONDS } from './fixture.js';

export const ADMIN_KEY = 'admin-key-of-the-benchmark-0123456789';

/** Who requests a sweep; it is put on the audit log like any other. */
export const OPERATOR: Caller = {
  principal: { kind: 'admin-key', id: 'bench', role: 'operator', scope: TenantScope.platform() },
  scope: TenantScope.platform(),
  address: '127.0.0.1',
  requestId: 'bench',
  action: 'sweep.request',
};

/** A requested sweep of everything that the benchmark calls overdue. */
export const SWEEP_OF_ALL = { timeoutSeconds: TIMEOUT_SECONDS, reason: 'benchmark' };

/** The service as it is, without its HTTP side, in this process; it sweeps only when it is told to. */
export async function startLapse(databaseUrl: string): Promise<INestApplicationContext> {
  return NestFactory.createApplicationContext(await lapseOn(databaseUrl, {}), { abortOnError: false });
}

/** The same with its HTTP side, on any free port. */
export async function serveLapse(
  databaseUrl: string,
  environment: Record<string, string> = {},
  ...beside: Type[]
): Promise<NestExpressApplication> {
  const lapse = await lapseOn(databaseUrl, environment);
  const app = await createApp({ ...lapse, imports: [...(lapse.imports ?? []), ...beside] });
  await app.listen(0, '127.0.0.1');
  return app;
}

async function lapseOn(databaseUrl: string, environment: Record<string, string>): Promise<DynamicModule> {
  Logger.overrideLogger(false);
  const configuration = readConfiguration({
    DATABASE_URL: databaseUrl,
    LAPSE_LOCK_DATABASE_URL: databaseUrl,
    LAPSE_CREATE_WATCHED_TABLES: 'true',
    LAPSE_APPROVAL_TIMEOUT: `${TIMEOUT_SECONDS}s`,
    LAPSE_SWEEP_CRON: 'off',
    LAPSE_RATE_LIMIT: 'off',
    LAPSE_ADMIN_KEY: ADMIN_KEY,
    ...environment,
  });
  // The timer would do its work in the middle of whatever is measured; growth asks for it by itself.
  Object.assign(configuration, { housekeeping: false });
  return AppModule.for(configuration, await openDatabase(configuration));
}
